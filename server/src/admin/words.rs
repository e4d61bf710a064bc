//! The sentences of the operator's pages, in each language.

mod table;

use std::time::Duration;

use app::words::Language;

pub(super) use self::table::Word;

/// The sentences in one language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words(pub Language);

impl Words {
    /// A sentence.
    pub(super) const fn text(self, word: Word) -> &'static str {
        word.texts()[self.0 as usize]
    }

    /// A sentence whose placeholders, as `{name}`, are filled in.
    pub(super) fn fill(self, word: Word, values: &[(&str, &str)]) -> String {
        let mut rest = self.text(word);
        let mut filled = String::new();
        // One pass: a value that looks like a placeholder stays as it is.
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            let value = values.iter().find(|(known, _)| *known == name);
            filled += before;
            filled += value.map_or("", |(_, value)| value);
            rest = after;
        }
        filled + rest
    }

    /// A sentence about a number, as `{n}`.
    pub(super) fn count(self, word: Word, number: impl ToString) -> String {
        self.fill(word, &[("n", &number.to_string())])
    }

    /// A length of time in its largest unit or two: 7 s, 3 min, 2 h 5 min, 4 d 3 h.
    pub(super) fn time(self, time: Duration) -> String {
        let (seconds, minutes) = (time.as_secs(), time.as_secs() / 60);
        let unit = |word, number: u64| self.count(word, number);
        let two = |large: String, small: String| format!("{large} {small}");
        match minutes {
            0 => unit(Word::Seconds, seconds),
            1..60 => unit(Word::Minutes, minutes),
            60..1440 => two(
                unit(Word::Hours, minutes / 60),
                unit(Word::Minutes, minutes % 60),
            ),
            _ => two(
                unit(Word::Days, minutes / 1440),
                unit(Word::Hours, minutes / 60 % 24),
            ),
        }
    }

    /// A short length of time, in milliseconds.
    pub(super) fn short_time(self, time: Duration) -> String {
        self.count(Word::Milliseconds, time.as_millis())
    }
}

/// A number of bytes: 512 B, 4.1 kB, 98.3 GB.
pub(super) fn bytes(count: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    #[expect(clippy::cast_precision_loss, reason = "for eyes")]
    let mut number = count as f64;
    if number < 1000.0 {
        return format!("{count} B");
    }
    let mut unit = "";
    for next in units {
        if number < 999.95 {
            break;
        }
        number /= 1000.0;
        unit = next;
    }
    format!("{number:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn placeholders(text: &str) -> BTreeSet<&str> {
        let parts = text.split('{').skip(1);
        parts.filter_map(|part| part.split('}').next()).collect()
    }

    /// Each sentence is there in each language, with the same placeholders.
    #[test]
    fn the_languages_say_the_same() {
        for word in Word::ALL {
            let [en, hant, hans] = word.texts();
            for text in [en, hant, hans] {
                assert!(!text.is_empty(), "{word:?}");
                assert_eq!(placeholders(text), placeholders(en), "{word:?}");
            }
        }
    }

    /// Characters that exist in one of the two scripts only, of the words that the tables use.
    #[test]
    fn no_script_is_mixed_into_the_other() {
        let simplified = "运转关闭断开连线务时间进请会话个条错误续来结链详细显设";
        let traditional = "運轉關閉斷開連線務時間進請會話個條錯誤續來結鏈詳細顯設";
        for word in Word::ALL {
            let [_, hant, hans] = word.texts();
            let only = |these: &str, others: &str| -> Vec<char> {
                these.chars().filter(|c| !others.contains(*c)).collect()
            };
            let wrong = only(simplified, traditional);
            assert!(!hant.contains(&wrong[..]), "{word:?}: {hant}");
            let wrong = only(traditional, simplified);
            assert!(!hans.contains(&wrong[..]), "{word:?}: {hans}");
        }
    }

    #[test]
    fn values_are_filled_in_once() {
        let words = Words(Language::En);
        let filled = words.fill(
            Word::NodeSummary,
            &[("node", "{phase}"), ("phase", "live"), ("applied", "1")],
        );
        assert_eq!(filled, "This is node {phase}, live: pack 1 of  is folded.");
    }

    #[test]
    fn times_and_sizes_are_short() {
        let words = Words(Language::En);
        let times = [7, 200, 7_500, 270_000].map(|s| words.time(Duration::from_secs(s)));
        assert_eq!(times, ["7 s", "3 min", "2 h 5 min", "3 d 3 h"]);
        let sizes = [7, 4_096, 98_300_000_000, 999_999].map(bytes);
        assert_eq!(sizes, ["7 B", "4.1 kB", "98.3 GB", "1.0 MB"]);
    }
}
