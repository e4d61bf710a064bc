//! What an operator's page shows, as its address says: so a link, a reload and the stream of updates show the same.

use serde::Deserialize;
use url::form_urlencoded::Serializer;

use crate::samples::Span;

/// The most bytes of a text that is looked for: a session's id is as long.
const FIND_BYTES: usize = 64;

/// The query as it comes. What makes no sense counts as missing.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    find: Option<String>,
    sort: Option<String>,
    order: Option<String>,
    page: Option<String>,
    span: Option<String>,
}

/// What a page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// What is looked for among the connections; empty for all.
    pub find: String,
    /// The column by which they are sorted.
    pub column: Column,
    /// Whether the largest comes first.
    pub is_descending: bool,
    /// Which page of them, from 0.
    pub page: usize,
    /// The time that the charts show.
    pub span: Span,
}

impl Default for View {
    /// The newest connections first.
    fn default() -> Self {
        Self {
            find: String::new(),
            column: Column::Opened,
            is_descending: true,
            page: 0,
            span: Span::default(),
        }
    }
}

/// A column by which connections are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// When it was opened.
    Opened,
    /// The session's name.
    Name,
    /// The network that it counts for.
    Address,
    /// The smoothed round trip.
    RoundTrip,
    /// For how long nothing was received.
    Quiet,
}

impl Column {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Opened, "opened"),
        (Self::Name, "name"),
        (Self::Address, "address"),
        (Self::RoundTrip, "round-trip"),
        (Self::Quiet, "quiet"),
    ];

    fn named(text: &str) -> Option<Self> {
        let named = Self::ALL.into_iter().find(|(_, name)| *name == text);
        named.map(|(column, _)| column)
    }

    fn name(self) -> &'static str {
        let known = Self::ALL.into_iter().find(|(column, _)| *column == self);
        known.map_or("", |(_, name)| name)
    }

    /// Whether the largest is what an operator wants to see first: the newest, the slowest, the longest quiet.
    const fn is_descending(self) -> bool {
        matches!(self, Self::Opened | Self::RoundTrip | Self::Quiet)
    }
}

impl View {
    /// What a query asks for.
    pub(super) fn of(asked: &Asked) -> Self {
        let find = asked.find.as_deref().unwrap_or_default().trim();
        let mut end = find.len().min(FIND_BYTES);
        while !find.is_char_boundary(end) {
            end -= 1;
        }
        let column = asked.sort.as_deref().and_then(Column::named);
        let column = column.unwrap_or(Column::Opened);
        let page: usize = asked
            .page
            .as_deref()
            .and_then(|page| page.parse().ok())
            .unwrap_or(1);
        Self {
            find: find[..end].to_owned(),
            column,
            is_descending: match asked.order.as_deref() {
                Some("down") => true,
                Some("up") => false,
                _ => column.is_descending(),
            },
            page: page.saturating_sub(1),
            span: match asked.span.as_deref() {
                Some("hour") => Span::Hour,
                _ => Span::Minutes,
            },
        }
    }

    /// The view whose charts show this time.
    pub(super) fn over(&self, span: Span) -> Self {
        Self {
            span,
            ..self.clone()
        }
    }

    /// The view of the connections in a room, and of others that are called so.
    pub(super) fn finding(&self, text: &str) -> Self {
        Self {
            find: text.to_owned(),
            page: 0,
            ..self.clone()
        }
    }

    /// The view sorted by this column; in the other direction where it is already.
    pub(super) fn sorted_by(&self, column: Column) -> Self {
        Self {
            column,
            is_descending: if self.column == column {
                !self.is_descending
            } else {
                column.is_descending()
            },
            page: 0,
            ..self.clone()
        }
    }

    /// The view of this page, from 0.
    pub(super) fn on_page(&self, page: usize) -> Self {
        Self {
            page,
            ..self.clone()
        }
    }

    /// The path with the query, without what is the default.
    pub(super) fn link(&self) -> String {
        let mut query = Serializer::new(String::new());
        for (name, value) in self.parts() {
            query.append_pair(name, &value);
        }
        let query = query.finish();
        if query.is_empty() {
            "/status".to_owned()
        } else {
            format!("/status?{query}")
        }
    }

    /// The parts of the query, without what is the default.
    pub(super) fn parts(&self) -> Vec<(&'static str, String)> {
        let mut parts = Vec::new();
        if !self.find.is_empty() {
            parts.push(("find", self.find.clone()));
        }
        if self.column != Column::Opened {
            parts.push(("sort", self.column.name().to_owned()));
        }
        if self.is_descending != self.column.is_descending() {
            let order = if self.is_descending { "down" } else { "up" };
            parts.push(("order", order.to_owned()));
        }
        if self.page > 0 {
            parts.push(("page", (self.page + 1).to_string()));
        }
        if self.span == Span::Hour {
            parts.push(("span", "hour".to_owned()));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(find: &str, sort: &str, order: &str, page: &str) -> Asked {
        Asked {
            find: Some(find.to_owned()),
            sort: Some(sort.to_owned()),
            order: Some(order.to_owned()),
            page: Some(page.to_owned()),
            span: None,
        }
    }

    /// A view's link asks for that view.
    #[test]
    fn a_link_leads_to_its_view() {
        assert_eq!(View::default().link(), "/status");
        let view = View::of(&asked(" a&b ", "quiet", "up", "3"));
        assert_eq!(view.link(), "/status?find=a%26b&sort=quiet&order=up&page=3");
        assert_eq!(
            view.sorted_by(Column::Quiet).link(),
            "/status?find=a%26b&sort=quiet"
        );
        assert_eq!(
            view.sorted_by(Column::Name).link(),
            "/status?find=a%26b&sort=name"
        );
        assert_eq!(
            view.on_page(0).link(),
            "/status?find=a%26b&sort=quiet&order=up"
        );
        let hour = View::default().over(Span::Hour);
        assert_eq!(hour.link(), "/status?span=hour");
        let asked = Asked {
            span: Some("hour".to_owned()),
            ..Asked::default()
        };
        assert_eq!(View::of(&asked), hour);
    }

    /// Nonsense counts as missing, and a text is cut within its bound at a character.
    #[test]
    fn nonsense_is_the_default() {
        assert_eq!(View::of(&Asked::default()), View::default());
        assert_eq!(View::of(&asked("", "x", "y", "-1")), View::default());
        assert_eq!(View::of(&asked("", "x", "y", "0")), View::default());
        let long = View::of(&asked(&"動".repeat(40), "", "", ""));
        assert_eq!(long.find, "動".repeat(21));
    }
}
