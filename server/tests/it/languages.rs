//! The language of pages: of rooms, of those that are none, closed ones and refused forms.

use reqwest::header::HeaderMap;

use crate::guarded::Guarded;
use crate::test_server::TestServer;

/// A page, and the headers that came with it.
async fn get(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> (HeaderMap, String) {
    let url = format!("http://{}{path}", server.address);
    let mut request = reqwest::Client::new().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    (answer.headers().clone(), answer.text().await.unwrap())
}

fn all(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter();
    let values = values.map(|value| value.to_str().unwrap());
    values.collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn a_page_is_in_the_language_that_is_asked_for() {
    let server = TestServer::start(&[]).await;
    let hant = ("accept-language", "zh-HK,zh;q=0.9,en;q=0.8");
    for (path, headers, tag) in [
        ("/", &[][..], "en"),
        ("/r/tea", &[hant], "zh-Hant"),
        ("/nothing", &[hant], "zh-Hant"),
        ("/r/tea?lang=zh-Hans", &[hant], "zh-Hans"),
        ("/", &[hant, ("cookie", "everbeat-lang=en")], "en"),
    ] {
        let (told, page) = get(&server, path, headers).await;
        assert!(page.contains(&format!("<html lang=\"{tag}\">")), "{path}");
        assert!(all(&told, "vary").contains("accept-language, cookie"));
        let is_kept = all(&told, "set-cookie").contains("everbeat-lang=");
        assert_eq!(is_kept, path.contains("lang="), "{path}");
    }
    // A file has no language.
    let (told, _) = get(&server, "/favicon.svg", &[hant]).await;
    assert!(!all(&told, "vary").contains("language"));
}

#[tokio::test]
async fn what_is_refused_is_refused_in_that_language() {
    let Guarded { server, .. } = &Guarded::start(&["--guests", "off"]).await;
    let hans = ("accept-language", "zh-CN");
    let (told, page) = get(server, "/r/tea", &[hans]).await;
    assert!(page.contains("<h1>请先登录</h1>"), "{page}");
    assert_eq!(all(&told, "cache-control"), "no-store");
    let url = format!("http://{}/r/tea", server.address);
    let form = reqwest::Client::new().post(url).header(hans.0, hans.1);
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let answer = form.body("key=k&body=hello").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let page = answer.text().await.unwrap();
    assert!(page.contains("你的消息没有发出：请先登录。"), "{page}");
    assert!(page.contains("<html lang=\"zh-Hans\">"), "{page}");
}
