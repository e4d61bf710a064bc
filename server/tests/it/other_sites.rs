//! What pages of other sites get: nothing that the person in front of them has.

use crate::caller::{Caller, said};
use crate::test_server::TestServer;

/// A page of another site cannot speak for the person in front of it.
#[tokio::test]
async fn another_sites_page_posts_nothing() {
    let server = TestServer::start(&[]).await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ] {
        let api = Caller::of(&server).with(name, value);
        let refused = api.post("lobby", "k", &said("x")).await;
        assert_eq!(refused.problem(), (403, "forbidden"), "{name}");
    }
}
