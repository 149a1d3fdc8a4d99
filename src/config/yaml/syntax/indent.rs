//! The indentations that a line could have, seen from the lines above it.

/// A column where an entry of a mapping or a list stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) column: usize,
    /// The line with the nearest entry there, from 1.
    pub(super) line: usize,
    /// It is a list: its entries begin with `- `.
    pub(super) dash: bool,
}

/// How many characters of white space a line begins with.
pub(super) fn width(line: &str) -> usize {
    line.chars().take_while(|c| c.is_whitespace()).count()
}

/// The levels that are open above a line, the deepest first.
pub(super) fn levels(lines: &[&str], line: usize) -> Vec<Level> {
    let mut levels = Vec::new();
    let mut bound = usize::MAX;
    for number in (1..line).rev() {
        let Some(text) = lines.get(number - 1) else { continue };
        let trimmed = text.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let mut own = Vec::new();
        let (mut column, mut rest) = (width(text), trimmed);
        while let Some(item) = rest.strip_prefix("- ") {
            own.push(Level { column, line: number, dash: true });
            column += 2 + width(item);
            rest = item.trim_start();
        }
        own.push(Level { column, line: number, dash: false });
        levels.extend(own.into_iter().rev().filter(|level| level.column < bound));
        bound = bound.min(width(text));
        if bound == 0 {
            break;
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_above_are_those_that_are_open() {
        let lines = ["a:", "  - b: 1", "    c:", "      d: 2", "# x", "  - e: 3", "f"];
        let found: Vec<_> =
            levels(&lines, 7).iter().map(|it| (it.column, it.line, it.dash)).collect();
        assert_eq!(found, [(4, 6, false), (2, 6, true), (0, 1, false)]);
    }
}
