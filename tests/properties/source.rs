//! Choices that are drawn from bytes: what libFuzzer changes there changes what is built here, and
//! the same bytes always build the same.

/// Bytes to draw from. After the last one every choice is the first of its kind.
pub(crate) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `bound`, which is not 0 and at most 256.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Some pieces of text, one after the other.
    pub(crate) fn text(&mut self) -> String {
        const PIECES: [&str; 16] = [
            "word",
            " two words",
            "\u{e9}",
            "\u{1f600}",
            "\"",
            "\\",
            "\n",
            "\u{1}",
            "</s>",
            "{\"a\":1}",
            "e\u{301}",
            "data: ",
            "\u{2028}",
            "null",
            "\t",
            "&<>'",
        ];
        (0..=self.below(4)).map(|_| self.pick(&PIECES)).collect()
    }

    /// An object as the arguments of a tool.
    pub(crate) fn object(&mut self) -> serde_json::Value {
        let fields = (0..self.below(4)).map(|at| (format!("f{at}"), self.value(2)));
        serde_json::Value::Object(fields.collect())
    }

    fn value(&mut self, depth: u8) -> serde_json::Value {
        match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => serde_json::Value::Null,
            1 => true.into(),
            2 => self.pick(&[0_i64, -1, 42, 9_007_199_254_740_993, i64::MIN]).into(),
            3 => self.pick(&[0.5_f64, -1e-7, 1e21]).into(),
            4 | 5 => self.text().into(),
            6 => (0..self.below(3)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let names = ["a", "b c", "\u{e9}"];
                let fields = names.into_iter().take(self.below(4));
                let fields = fields.map(|name| (name.to_owned(), self.value(depth - 1)));
                serde_json::Value::Object(fields.collect())
            }
        }
    }

    /// A few bytes as base64, and never the same twice where `number` differs.
    pub(crate) fn data(&mut self, number: usize) -> String {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let groups = 1 + self.below(4);
        let mut data: String = (0..4 * groups).map(|_| char::from(self.pick(LETTERS))).collect();
        data.push_str(&format!("A{:03}", number % 1000));
        data
    }
}
