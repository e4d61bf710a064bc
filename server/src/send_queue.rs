//! The send queue of a TCP socket, as Linux says it (tcp(7)).

use std::mem::{MaybeUninit, offset_of, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};

use protocol::heartbeat::SendQueue;

/// Reads it: two system calls. `None` where this is no TCP socket, or where the kernel is older than Linux 4.1, which
/// does not count the bytes.
pub(crate) fn read(socket: BorrowedFd<'_>) -> Option<SendQueue> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut size = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    // SAFETY: the descriptor is open for as long as it is borrowed. getsockopt(2) writes `size` bytes at most, into
    // `info`, which is as large.
    let told = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
    let needed = offset_of!(libc::tcp_info, tcpi_bytes_acked) + size_of::<u64>();
    if told != 0 || (size as usize) < needed {
        return None;
    }
    // SAFETY: all fields are integers, for which zeros are values as good as what was written.
    let info = unsafe { info.assume_init() };
    let mut waiting: libc::c_int = 0;
    // SAFETY: as above; SIOCOUTQ, which is the same number as TIOCOUTQ, writes one `int`.
    let held = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut waiting) };
    let waiting = (held == 0).then_some(waiting)?;
    Some(SendQueue {
        taken: info.tcpi_bytes_acked,
        waiting: u64::try_from(waiting).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};

    use super::*;

    /// What the peer has taken and what waits add up to what was written, and the queue is empty once all is read.
    #[test]
    fn the_queue_of_a_socket_is_known() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let before = read(near.as_fd()).unwrap();
        assert_eq!(before.waiting, 0);
        near.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(count) = near.write(&[0; 64 * 1024]) {
            written += count;
        }
        let full = read(near.as_fd()).unwrap();
        assert!(full.waiting > 0, "{full:?}");
        let mut rest = vec![0; written];
        far.read_exact(&mut rest).unwrap();
        let begun = Instant::now();
        while read(near.as_fd()).unwrap().waiting > 0 {
            assert!(begun.elapsed() < Duration::from_secs(10), "it is not taken");
        }
        let taken = read(near.as_fd()).unwrap().taken - before.taken;
        assert_eq!(taken, written as u64);
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(read(udp.as_fd()), None);
    }
}
