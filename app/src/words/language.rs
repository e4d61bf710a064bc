//! The languages of the page, and which one a browser asks for.

/// A language in which the page is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English: also for all who ask for none of the others.
    #[default]
    En,
    /// Chinese in traditional characters.
    ZhHant,
    /// Chinese in simplified characters.
    ZhHans,
}

impl Language {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::En, Self::ZhHant, Self::ZhHans];

    /// Its tag (BCP 47), as in `<html lang>`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhHant => "zh-Hant",
            Self::ZhHans => "zh-Hans",
        }
    }

    /// Its name in itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::ZhHant => "正體中文",
            Self::ZhHans => "简体中文",
        }
    }

    /// The two others.
    pub const fn others(self) -> [Self; 2] {
        match self {
            Self::En => [Self::ZhHant, Self::ZhHans],
            Self::ZhHant => [Self::En, Self::ZhHans],
            Self::ZhHans => [Self::En, Self::ZhHant],
        }
    }

    /// The language of this very [`tag`](Self::tag).
    pub fn of_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// The language for a wish, which is any tag of BCP 47 in any case of letters: of Chinese the one in the characters
    /// that it names (`Hant`, `Hans`), or else that its region writes. `None` where the page is not written in it.
    pub fn wished(tag: &str) -> Option<Self> {
        let tag = tag.trim().to_ascii_lowercase();
        let mut subtags = tag.split('-');
        match subtags.next() {
            Some("en") => Some(Self::En),
            Some("zh") => {
                let named = subtags.find_map(|subtag| match subtag {
                    // The script stands before the region.
                    "hant" | "tw" | "hk" | "mo" => Some(Self::ZhHant),
                    "hans" => Some(Self::ZhHans),
                    _ => None,
                });
                Some(named.unwrap_or(Self::ZhHans))
            }
            _ => None,
        }
    }

    /// The language that a browser prefers, by its `Accept-Language` (RFC 9110 section 12.5.4): of those in which the
    /// page is written the one with the highest weight, and the first of equal ones.
    pub fn preferred(accept_language: &str) -> Option<Self> {
        let mut best = None;
        for range in accept_language.split(',') {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            let weight = weight(parameters);
            let is_better = best.is_none_or(|(_, most)| weight > most);
            if weight > 0
                && is_better
                && let Some(language) = Self::wished(tag)
            {
                best = Some((language, weight));
            }
        }
        best.map(|(language, _)| language)
    }
}

/// The weight of a language in thousandths: 1000 without one, 0 ("not acceptable") for what is none (RFC 9110 section
/// 12.4.2).
fn weight(parameters: &str) -> u16 {
    let Some((name, value)) = parameters.split_once('=') else {
        return if parameters.trim().is_empty() {
            1000
        } else {
            0
        };
    };
    if !name.trim().eq_ignore_ascii_case("q") {
        return 0;
    }
    let value = value.trim();
    let (whole, digits) = value.split_once('.').unwrap_or((value, ""));
    let is_short = digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "1" if is_short => 1000,
        "0" if is_short => format!("{digits:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::Language::{En, ZhHans, ZhHant};
    use super::*;

    #[test]
    fn a_tag_means_a_language() {
        for (tag, language) in [
            ("en", Some(En)),
            ("en-GB", Some(En)),
            ("EN_us", None),
            ("eng", None),
            ("zh", Some(ZhHans)),
            ("zh-CN", Some(ZhHans)),
            ("zh-SG", Some(ZhHans)),
            ("zh-Hans", Some(ZhHans)),
            ("zh-TW", Some(ZhHant)),
            ("zh-hk", Some(ZhHant)),
            ("ZH-MO", Some(ZhHant)),
            ("zh-Hant", Some(ZhHant)),
            ("zh-Hant-CN", Some(ZhHant)),
            ("zh-Hans-TW", Some(ZhHans)),
            ("zh-cmn-Hant-TW", Some(ZhHant)),
            (" zh-TW ", Some(ZhHant)),
            ("fr", None),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(Language::wished(tag), language, "{tag}");
        }
        for language in Language::ALL {
            assert_eq!(Language::wished(language.tag()), Some(language));
            assert_eq!(Language::of_tag(language.tag()), Some(language));
            assert!(!language.others().contains(&language));
        }
    }

    #[test]
    fn a_browser_prefers_by_weight_then_order() {
        for (header, language) in [
            ("", None),
            ("de", None),
            ("*", None),
            ("zh-TW,zh;q=0.9,en-US;q=0.8,en;q=0.7", Some(ZhHant)),
            ("zh-CN,zh;q=0.9,en;q=0.8", Some(ZhHans)),
            ("en-GB,en;q=0.9,zh-TW;q=0.8", Some(En)),
            ("de-DE, de;q=0.9, zh-HK;q=0.5, en;q=0.4", Some(ZhHant)),
            ("en;q=0.2, zh-Hans;q=0.200, zh-Hant;q=0.21", Some(ZhHant)),
            ("zh ; Q=0.5 , en ; q=0.4", Some(ZhHans)),
            ("zh-TW;q=0, en;q=0.001", Some(En)),
            ("zh-TW;q=0", None),
            ("zh-TW;q=2, zh-CN;q=x, zh-CN;q=0.1234, en;q=0.1", Some(En)),
            ("zh-TW;q=1.000,en", Some(ZhHant)),
            (",,zh-MO", Some(ZhHant)),
            ("zh-TW;v=1, en;q=0.5", Some(En)),
        ] {
            assert_eq!(Language::preferred(header), language, "{header}");
        }
    }
}
