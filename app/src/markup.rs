//! Text as HTML: the one place where text becomes markup.
//!
//! Each text of a user, and each text that changes, is the whole content of an element of its
//! own, set as `inner_html=html(text)`. So an HTML parser gives back the same text. And when a text changes, all
//! that a page translator put around it is replaced with it.

use view::{Part, parts};

/// A text as the content of an element. Any HTML parser gives [`shown`]`(text)` back, except in a
/// `textarea`: see [`textarea_html`].
pub fn html(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    push(&mut html, text);
    html
}

/// The text of a message as the content of an element, with its links and its code. Any HTML parser gives
/// [`shown`]`(text)` back as its text, and no other elements than these.
pub fn rich(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for part in parts(text) {
        match part {
            Part::Plain(text) => push(&mut html, text),
            Part::Link(url) => {
                html.push_str("<a target=\"_blank\" rel=\"noopener noreferrer nofollow\" href=\"");
                push(&mut html, url);
                html.push_str("\">");
                push(&mut html, url);
                html.push_str("</a>");
            }
            Part::Code {
                open,
                code,
                close,
                is_block,
            } => {
                html.push_str("<code translate=\"no\"");
                html.push_str(if is_block {
                    " class=\"block\"><i>"
                } else {
                    "><i>"
                });
                push(&mut html, open);
                html.push_str("</i>");
                push(&mut html, code);
                html.push_str("<i>");
                push(&mut html, close);
                html.push_str("</i></code>");
            }
        }
    }
    html
}

fn push(html: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            // A parser would make a line feed of it (HTML section 13.2.3.5, "normalize newlines").
            '\r' => html.push_str("&#13;"),
            '\0' => html.push(NUL),
            character => html.push(character),
        }
    }
}

/// A text as the content of a `textarea`. A parser drops one leading line feed there (HTML section
/// 13.2.6.4.7), so one is added.
pub fn textarea_html(text: &str) -> String {
    format!("\n{}", html(text))
}

/// A text as it is shown: with a visible character for U+0000, which HTML cannot hold.
pub fn shown(text: &str) -> String {
    text.replace('\0', NUL.encode_utf8(&mut [0; 4]))
}

/// The character that is shown for U+0000: U+FFFD, as in CSS and in most of HTML itself.
const NUL: char = char::REPLACEMENT_CHARACTER;

#[cfg(test)]
mod tests;
