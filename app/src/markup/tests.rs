//! The server's page, parsed by a real HTML parser (html5ever): each text comes out unchanged.

use std::sync::Arc;

use html5ever::tendril::TendrilSink as _;
use html5ever::{ParseOpts, parse_document};
use hydration_context::SsrSharedContext;
use leptos::prelude::*;
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use proptest::prelude::*;
use protocol::frame::Message;
use protocol::id::{Name, RoomName, Seq, SessionId};
use protocol::position::{Epoch, Offset, Position};

use super::*;
use crate::words::{Language, Word, Words};
use crate::{Clock, Files, Letter, Refusal, Snapshot, Visit, refused_shell, shell, snapshot_of};

/// An element of a parsed page: its name, its attributes, its text with that of its descendants.
struct Element {
    /// Whether it is within the text of a message.
    is_text: bool,
    tag: String,
    attributes: Vec<(String, String)>,
    text: String,
}

impl Element {
    fn attribute(&self, name: &str) -> Option<&str> {
        let mut all = self.attributes.iter();
        all.find_map(|(key, value)| (key == name).then_some(&**value))
    }

    fn is(&self, class: &str) -> bool {
        self.attribute("class") == Some(class)
    }
}

fn parse(html: &str) -> Vec<Element> {
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(html);
    let mut elements = Vec::new();
    collect(&dom.document, false, &mut elements);
    elements
}

fn collect(node: &Handle, is_text: bool, elements: &mut Vec<Element>) {
    let mut is_within = is_text;
    if let NodeData::Element { name, attrs, .. } = &node.data {
        let attributes = attrs.borrow();
        let attributes = attributes.iter().map(|attribute| {
            (
                attribute.name.local.to_string(),
                attribute.value.to_string(),
            )
        });
        elements.push(Element {
            is_text,
            tag: name.local.to_string(),
            attributes: attributes.collect(),
            text: text(node),
        });
        is_within |= elements.last().is_some_and(|it| it.is("body"));
    }
    for child in node.children.borrow().iter() {
        collect(child, is_within, elements);
    }
}

fn text(node: &Handle) -> String {
    if let NodeData::Text { contents } = &node.data {
        return contents.borrow().to_string();
    }
    node.children.borrow().iter().map(text).collect()
}

/// The lobby's whole document, as the server sends it.
fn page(snapshot: &Snapshot) -> String {
    let visit = Visit {
        room: RoomName::lobby(),
        snapshot: Some(snapshot.clone()),
    };
    let owner = Owner::new_root(Some(Arc::new(SsrSharedContext::new())));
    owner.with(|| {
        provide_context(Words::of(Language::En));
        provide_context(visit);
        provide_context(Clock::UTC);
        shell(LeptosOptions::builder().output_name("x").build(), &files()).to_html()
    })
}

fn files() -> Files {
    Files {
        css: "/x.css".into(),
        js: "/x.js".into(),
        wasm: "/x.wasm".into(),
    }
}

/// Texts of the characters that parsers treat specially, and of any others.
fn any_text() -> impl Strategy<Value = String> {
    let special = proptest::sample::select(vec![
        "\0",
        "\r",
        "\n",
        "\r\n",
        "&",
        "&amp;",
        "&#0;",
        "&lt;",
        "<",
        ">",
        "\"",
        "'",
        "<!--",
        "-->",
        "</p>",
        "</script>",
        "<script>",
        "<!DOCTYPE x>",
        "]]>",
        "</textarea>",
        "</title>",
        "<table>",
        "<b",
        "\u{c}",
        "\t",
        "\u{1}",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{fffe}",
        "\u{10ffff}",
        "\u{202e}",
        "e\u{301}\u{301}",
        "1800 555 0199",
        "https://a.example/?b=c&d='",
        "\nmailto:a@b.c",
        "`",
        "```\n",
        "\n```",
        " ",
    ]);
    let character = any::<char>().prop_map(String::from);
    let piece = prop_oneof![special.prop_map(str::to_owned), character];
    proptest::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}

/// A room with one message.
fn snapshot(body: &str) -> Snapshot {
    let offset = Offset::ZERO.next();
    let message = Message {
        room: RoomName::lobby(),
        offset,
        session: SessionId::new("ada").unwrap(),
        seq: Seq::FIRST,
        name: Name::tidy("ada"),
        at_ms: 1000,
        body: body.to_owned(),
        removed: false,
    };
    Snapshot {
        position: Position {
            epoch: Epoch::new("e"),
            offset,
        },
        messages: vec![message],
        more: false,
    }
}

fn check_page(body: &str, name: &str) {
    let mut snapshot = snapshot(body);
    snapshot.messages[0].name = Name::tidy(name);
    let name = Name::tidy(name);
    let elements = parse(&page(&snapshot));
    let one = |found: &dyn Fn(&Element) -> bool| {
        let mut all = elements.iter().filter(|element| found(element));
        let one = all.next().map(|element| element.text.as_str());
        assert!(all.next().is_none(), "one element, not several");
        one
    };
    let body = shown(body);
    assert_eq!(one(&|it| it.is("body")), Some(&*body), "the message");
    assert_eq!(
        one(&|it| it.tag == "output"),
        Some(&*body),
        "the line of what came last"
    );
    let authors = elements.iter().filter(|element| element.is("author"));
    for author in authors {
        assert_eq!(author.text, name.as_str());
    }
    let data = one(&|it| it.attribute("id") == Some("snapshot")).unwrap();
    assert_eq!(snapshot_of(data), Some(snapshot), "the data of the page");
    let harmless = parse(&page(&self::snapshot("x")));
    let (texts, elements): (Vec<_>, Vec<_>) = elements.into_iter().partition(|it| it.is_text);
    texts.iter().for_each(check_part);
    assert_eq!(elements.len(), harmless.len(), "a text is no element");
    for (element, other) in elements.iter().zip(&harmless) {
        assert_eq!(
            (&element.tag, element.attributes.len()),
            (&other.tag, other.attributes.len())
        );
    }
}

/// The elements within a text: links to what they show, and code.
fn check_part(element: &Element) {
    let attributes: Vec<(&str, &str)> = element
        .attributes
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    match &*element.tag {
        "a" => {
            let rel = ("rel", "noopener noreferrer nofollow");
            let href = ("href", &*element.text);
            assert_eq!(attributes, [("target", "_blank"), rel, href]);
            let lower = element.text.to_ascii_lowercase();
            let schemes = ["http://", "https://", "mailto:"];
            assert!(schemes.iter().any(|scheme| lower.starts_with(scheme)));
        }
        "code" => assert!(matches!(
            attributes[..],
            [("translate", "no")] | [("translate", "no"), ("class", "block")]
        )),
        "i" => assert!(attributes.is_empty() && element.text.contains('`')),
        tag => panic!("no part of a text: {tag}"),
    }
}

fn check_refused(body: &str) {
    let refusal = Refusal {
        room: RoomName::lobby(),
        why: Some(Word::BodyTooLarge),
        letter: Letter {
            key: "key".into(),
            name: Name::tidy(body).to_string(),
            body: body.to_owned(),
        },
    };
    let owner = Owner::new_root(Some(Arc::new(SsrSharedContext::new())));
    let elements = parse(&owner.with(|| {
        provide_context(Words::of(Language::En));
        refused_shell(&files(), refusal).to_html()
    }));
    let text_of = |tag: &str| elements.iter().find(|it| it.tag == tag).map(|it| &*it.text);
    assert_eq!(text_of("textarea"), Some(&*shown(body)));
    let why = elements.iter().find(|it| it.is("alert"));
    let sentence = "Your message was not sent: the text is longer than this server takes.";
    assert_eq!(why.map(|it| &*it.text), Some(sentence));
    let name = elements
        .iter()
        .find(|it| it.attribute("name") == Some("name"));
    assert_eq!(
        name.and_then(|it| it.attribute("value")),
        Some(Name::tidy(body).as_str())
    );
    assert_eq!(elements.iter().filter(|it| it.tag == "script").count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_message_and_name_come_back_from_a_parser(body in any_text(), name in any_text()) {
        check_page(&body, &name);
    }

    #[test]
    fn a_refused_text_comes_back_from_a_parser(body in any_text()) {
        check_refused(&body);
    }
}

#[test]
fn texts_that_parsers_change_come_back() {
    let long = "x".repeat(65_535) + "\r\0<" + &"y".repeat(70_000);
    for body in [
        "\0",
        "\r",
        "\n",
        "\n\nx",
        "\r\nx",
        "a\0b\rc",
        " ",
        "&#13;",
        "```\n\n<a>\r\0\n```\n",
        "`</code>` <https://a.example/?b&amp;c>",
        &long,
    ] {
        check_page(body, "Ada");
        check_refused(body);
    }
}
