//! What operators ask of what was spent, and what they bring along.

mod import;
