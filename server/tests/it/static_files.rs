//! Static files: those of the site are served, and no others.

use std::fs;

use tempfile::TempDir;

use crate::http::{get_raw, status};
use crate::test_server::TestServer;

const SECRET: &str = "nobody outside may read this";

/// A directory with a site of two files, and a third file outside the site.
fn place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("site/pkg")).unwrap();
    for (path, text) in [
        ("site/ok.txt", "served"),
        ("site/pkg/ok.txt", "served, too"),
        ("secret.txt", SECRET),
    ] {
        fs::write(place.path().join(path), text).unwrap();
    }
    place
}

async fn serve(place: &TempDir) -> TestServer {
    let site = place.path().join("site");
    TestServer::start(&["--site-root", site.to_str().unwrap()]).await
}

#[tokio::test]
async fn nothing_outside_the_site_is_served() {
    let place = place();
    let server = serve(&place).await;
    for (target, body) in [
        ("/ok.txt", "served"),
        ("/%6fk.txt", "served"),
        ("/pkg/ok.txt", "served, too"),
        ("http://localhost/ok.txt", "served"),
    ] {
        let answer = get_raw(server.address, target).await;
        assert_eq!(status(&answer), 200, "{target}: {answer}");
        assert!(
            answer.ends_with(&format!("\r\n\r\n{body}")),
            "{target}: {answer}"
        );
    }
    let absolute = place.path().join("secret.txt");
    let absolute = absolute.to_str().unwrap();
    for (target, expected) in [
        ("/../secret.txt", 404),
        ("/pkg/../../secret.txt", 404),
        ("/%2e%2e/secret.txt", 404),
        ("/.%2e/secret.txt", 404),
        ("/%2e%2e%2fsecret.txt", 404),
        ("/..%2fsecret.txt", 404),
        ("/pkg/..%2f..%2fsecret.txt", 404),
        ("/%252e%252e/secret.txt", 404),
        ("/%252e%252e%252fsecret.txt", 404),
        ("/..\\secret.txt", 404),
        ("/..%5csecret.txt", 404),
        ("/%2e%2e%5csecret.txt", 404),
        ("/%c0%ae%c0%ae/secret.txt", 404),
        ("/%c0%ae%c0%ae%c0%afsecret.txt", 404),
        ("/\u{2024}\u{2024}/secret.txt", 404),
        ("/ok.txt%00.png", 404),
        ("/pkg/ok.txt%00.png", 404),
        ("/..%00/secret.txt", 404),
        ("/r/../../secret.txt", 404),
        ("/r/..%2f..%2fsecret.txt", 404),
        ("//etc/passwd", 404),
        ("/%2fetc/passwd", 404),
        (&format!("/{absolute}"), 404),
        (&format!("/pkg/{absolute}"), 404),
        ("http://localhost/../secret.txt", 404),
        ("http://localhost/%2e%2e/secret.txt", 404),
        ("file:///etc/passwd", 400),
        ("../secret.txt", 400),
        ("/", 200),
    ] {
        let answer = get_raw(server.address, target).await;
        assert_eq!(status(&answer), expected, "{target}: {answer}");
        assert!(
            !answer.contains(SECRET) && !answer.contains("root:"),
            "{target}: {answer}"
        );
    }
}

/// A symbolic link in the site is the operator's decision: it is followed, also out of the site. Only its
/// own path leads there.
#[cfg(unix)]
#[tokio::test]
async fn links_in_the_site_are_the_operators() {
    let place = place();
    let link = place.path().join("site/link.txt");
    std::os::unix::fs::symlink(place.path().join("secret.txt"), link).unwrap();
    std::os::unix::fs::symlink(place.path(), place.path().join("site/up")).unwrap();
    let server = serve(&place).await;
    for target in ["/link.txt", "/up/secret.txt"] {
        let answer = get_raw(server.address, target).await;
        assert_eq!(status(&answer), 200, "{target}: {answer}");
    }
    for target in ["/up/../secret.txt", "/up/..%2fsecret.txt", "/up", "/up/"] {
        let answer = get_raw(server.address, target).await;
        assert_eq!(status(&answer), 404, "{target}: {answer}");
    }
}
