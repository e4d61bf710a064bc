//! Tables of words: complete, or they do not compile.

use super::Word;

/// The words of one language, in the order of [`Word`].
pub(super) type Table = [&'static str; Word::COUNT];

/// A table from its words in any order.
///
/// # Panics
/// While compiling, if a word is missing, there twice, or empty.
pub(super) const fn in_order(words: [(Word, &'static str); Word::COUNT]) -> Table {
    let mut table = [""; Word::COUNT];
    let mut next = 0;
    while next < words.len() {
        let (word, text) = words[next];
        assert!(!text.is_empty(), "a word is not empty");
        assert!(table[word as usize].is_empty(), "a word is there once");
        table[word as usize] = text;
        next += 1;
    }
    table
}
