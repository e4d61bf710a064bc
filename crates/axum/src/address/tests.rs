use axum::http::HeaderValue;

use super::*;

/// A connection from this address.
fn from(address: &str) -> Peer {
    Peer {
        address: SocketAddr::new(address.parse().unwrap(), 1),
        is_tls: false,
    }
}

/// An operator reads addresses as they are written elsewhere.
#[test]
fn a_network_is_written_as_an_address() {
    let written = |address: &str| Network::from(address.parse::<IpAddr>().unwrap()).to_string();
    assert_eq!(written("192.0.2.7"), "192.0.2.7");
    assert_eq!(written("::ffff:192.0.2.7"), "192.0.2.7");
    assert_eq!(written("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
    assert_eq!(written("::1"), "::/64");
}

fn headers(name: &'static str, lines: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name, HeaderValue::from_static(line));
    }
    headers
}

fn client(peer: &str, headers: &HeaderMap, proxies: &[&str], by: ForwardedBy) -> Client {
    let proxies: Vec<IpNet> = proxies
        .iter()
        .map(|network| network.parse().unwrap())
        .collect();
    let trust = Trust {
        proxies: &proxies,
        by,
    };
    Client::of(from(peer), headers, trust)
}

/// The network that counts for a request through these proxies; `nobody` where none does.
fn check(peer: &str, said: &[&'static str], proxies: &[&str]) -> String {
    let headers = headers("x-forwarded-for", said);
    let client = client(peer, &headers, proxies, ForwardedBy::XForwarded);
    match client.counted() {
        Some(_) => client.address.to_string(),
        None => "nobody".to_owned(),
    }
}

const LOCAL: &[&str] = &["127.0.0.0/8", "10.0.0.0/8"];

#[test]
fn proxies_are_believed_as_far_as_they_are_trusted() {
    for (peer, said, client) in [
        ("9.9.9.9", &["1.1.1.1"][..], "9.9.9.9"),
        ("127.0.0.1", &["1.1.1.1"], "1.1.1.1"),
        ("::ffff:127.0.0.1", &["1.1.1.1"], "1.1.1.1"),
        ("127.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.7"], "1.1.1.1"),
        ("127.0.0.1", &["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
        ("127.0.0.1", &["10.0.0.1"], "10.0.0.1"),
        ("127.0.0.1", &["2001:db8::1"], "2001:db8::1"),
        ("127.0.0.1", &[], "nobody"),
    ] {
        assert_eq!(check(peer, said, LOCAL), client, "{said:?}");
    }
    assert_eq!(check("127.0.0.1", &["1.1.1.1"], &[]), "127.0.0.1");
}

/// An address is read, however a gateway writes it.
#[test]
fn what_gateways_write_is_read() {
    for (said, client) in [
        ("203.0.113.9:4711", "203.0.113.9"),
        ("203.0.113.9:", "203.0.113.9"),
        ("\"203.0.113.9:4711\"", "203.0.113.9"),
        ("203.0.113.9;", "203.0.113.9"),
        ("203.0.113.9,", "203.0.113.9"),
        ("203.0.113.9, ,", "203.0.113.9"),
        (",203.0.113.9\t", "203.0.113.9"),
        ("203.0.113.9;proto=https", "203.0.113.9"),
        ("203.0.113.9:4711, 10.0.0.7:80", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("\"[2001:DB8::1]:4711\"", "2001:db8::1"),
        ("2001:db8:0:0:0:0:0:1:4711", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:80", "fe80::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:4711", "203.0.113.9"),
    ] {
        assert_eq!(check("127.0.0.1", &[said], LOCAL), client, "{said}");
    }
}

/// Where a hop's address cannot be read, the last one that can be is counted, and never an address that the
/// client wrote before it.
#[test]
fn what_cannot_be_read_counts_for_the_last_hop() {
    for said in [
        "unknown",
        "_hidden",
        "_hidden:_port",
        "6.6.6.6, unknown",
        "6.6.6.6, 1.2.3",
        "6.6.6.6, 1.1.1.1 2.2.2.2",
        "6.6.6.6, 1.1.1.1:port",
        "6.6.6.6, [2001:db8::1",
        "6.6.6.6, [2001:db8::1]x",
        "6.6.6.6, 203.0.113.9%eth0",
        "6.6.6.6, localhost",
        "",
        ",",
        " ; ",
    ] {
        assert_eq!(check("127.0.0.1", &[said], LOCAL), "127.0.0.1", "{said}");
    }
    let said = ["6.6.6.6, unknown, 10.0.0.7"];
    assert_eq!(check("127.0.0.1", &said, LOCAL), "10.0.0.7");
}

/// Clients that a proxy hides have spaces of their own for their keys, as far as the proxy tells them apart.
#[test]
fn hidden_clients_have_spaces_of_their_own() {
    let space = |peer, said| {
        let headers = headers("x-forwarded-for", said);
        client(peer, &headers, LOCAL, ForwardedBy::XForwarded).space()
    };
    let spaces = [
        space("127.0.0.1", &[]),
        space("10.0.0.1", &[]),
        space("127.0.0.1", &["unknown"]),
        space("10.0.0.1", &["unknown"]),
        space("127.0.0.1", &["_ada"]),
        space("127.0.0.1", &["_bob"]),
        space("127.0.0.1", &["203.0.113.9"]),
    ];
    for (index, space) in spaces.iter().enumerate() {
        assert!(!spaces[..index].contains(space), "{index}: {space}");
    }
    // A repeat comes from another port.
    assert_eq!(space("127.0.0.1", &["_ada:4711"]), spaces[4]);
    assert_eq!(space("127.0.0.1", &["203.0.113.9:7"]), spaces[6]);
    // The spaces with which older servers stored keys.
    assert_eq!(spaces[0], "None");
    assert_eq!(spaces[6], "Some(Network(18446744072820388105))");
}

/// RFC 7239: `Forwarded` is read only where the proxies write it.
#[test]
fn forwarded_is_read_where_it_is_what_proxies_write() {
    let check = |said: &[&'static str]| {
        let mut headers = headers("forwarded", said);
        headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6"));
        let client = client("127.0.0.1", &headers, LOCAL, ForwardedBy::Forwarded);
        client.address.to_string()
    };
    for (said, client) in [
        (&["for=203.0.113.9"][..], "203.0.113.9"),
        (&["For=\"203.0.113.9:4711\""], "203.0.113.9"),
        (
            &["for=\"[2001:db8::1]:80\";proto=https;by=_us"],
            "2001:db8::1",
        ),
        (&["proto=https; for=203.0.113.9"], "203.0.113.9"),
        (
            &["for=7.7.7.7, for=203.0.113.9, for=10.0.0.7"],
            "203.0.113.9",
        ),
        (&["for=7.7.7.7", "for=203.0.113.9"], "203.0.113.9"),
        (&["for=7.7.7.7, for=unknown"], "127.0.0.1"),
        (&["for=7.7.7.7, by=_us"], "127.0.0.1"),
        (&["for=\"a, b\", for=203.0.113.9"], "203.0.113.9"),
        // A client's quote without an end.
        (&["for=\"7.7.7.7, for=203.0.113.9"], "203.0.113.9"),
        (&["for=\"7.7.7.7, for=\"[2001:db8::1]\""], "2001:db8::1"),
        (&["for=\"7.7\\.7.7\""], "7.7.7.7"),
    ] {
        assert_eq!(check(said), client, "{said:?}");
    }
    let headers = headers("forwarded", &["for=6.6.6.6"]);
    let client = client("127.0.0.1", &headers, LOCAL, ForwardedBy::XForwarded);
    assert_eq!(client.counted(), None, "not the header that is read");
}

/// Odd bytes that a client puts into the header do not hide what the proxy adds.
#[test]
fn odd_bytes_hide_nobody() {
    let mut headers = HeaderMap::new();
    let odd = HeaderValue::from_bytes(b"\x80\xff, 1.1.1.1").unwrap();
    headers.insert("x-forwarded-for", odd);
    let client = client("127.0.0.1", &headers, LOCAL, ForwardedBy::XForwarded);
    assert_eq!(client.address, "1.1.1.1".parse::<IpAddr>().unwrap());
}

#[test]
fn a_subscriber_of_ipv6_counts_once() {
    let network = |address: &str| Network::from(address.parse::<IpAddr>().unwrap());
    assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
    assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
}

/// The first scheme is that of the client: the further ones are those between proxies.
#[test]
fn only_trusted_proxies_speak_about_tls() {
    let proxies: Vec<IpNet> = vec!["127.0.0.0/8".parse().unwrap()];
    let came = |peer: Peer, headers: &HeaderMap, by| {
        let proxies = &proxies;
        came_by_tls(peer, headers, Trust { proxies, by })
    };
    for (said, is_tls) in [
        (&["HTTPS"][..], true),
        (&["https, http"], true),
        (&["https", "http"], true),
        (&["https,http,http"], true),
        (&[", https"], true),
        (&["\"https\""], true),
        (&["wss"], true),
        (&["http, https"], false),
        (&["http"], false),
        (&["ws"], false),
        (&["httpsx"], false),
        (&[""], false),
        (&[], false),
    ] {
        let headers = headers("x-forwarded-proto", said);
        let here = came(from("127.0.0.1"), &headers, ForwardedBy::XForwarded);
        assert_eq!(here, is_tls, "{said:?}");
        assert!(!came(from("9.9.9.9"), &headers, ForwardedBy::XForwarded));
        assert!(!came(from("127.0.0.1"), &headers, ForwardedBy::Forwarded));
    }
    for (said, is_tls) in [
        ("for=1.1.1.1;proto=https, for=10.0.0.7;proto=http", true),
        ("Proto=\"HTTPS\"", true),
        ("for=1.1.1.1;proto=http, for=10.0.0.7;proto=https", false),
        ("for=1.1.1.1", false),
    ] {
        let headers = headers("forwarded", &[said]);
        let here = came(from("127.0.0.1"), &headers, ForwardedBy::Forwarded);
        assert_eq!(here, is_tls, "{said}");
    }
    let here = Peer {
        is_tls: true,
        ..from("9.9.9.9")
    };
    assert!(came(here, &HeaderMap::new(), ForwardedBy::XForwarded));
}
