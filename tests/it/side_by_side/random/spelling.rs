//! The ways in which popt takes options: short, attached, behind `=`, long, several letters behind one dash.

use super::dice::Dice;

impl Dice {
    /// An option with a value, short where it has a letter.
    pub(super) fn spelled(&mut self, short: Option<char>, long: &str, value: &str) -> String {
        match (self.below(5), short) {
            (0, Some(short)) => format!("-{short} '{value}'"),
            (1, Some(short)) if !value.is_empty() => format!("-{short}'{value}'"),
            (2, Some(short)) => format!("-{short}='{value}'"),
            (3, _) => format!("--{long}='{value}'"),
            _ => format!("--{long} '{value}'"),
        }
    }

    /// What neither tool knows: other options, shortened ones, a long one behind one dash, a flag with a value.
    pub(super) fn misspelled(&mut self) -> String {
        self.one_of(&[
            "--bogus",
            "-Z",
            "--queu={queue}",
            "--verbose",
            "--rout {queue}",
            "--pers",
            "--serv={host}",
            "---",
            "--=x",
            "--durable=yes",
            "--persistent=",
            "--no-ack=1",
        ])
        .to_owned()
    }

    /// Sometimes puts a flag's letter before another short option, behind one dash.
    pub(super) fn cluster(&mut self, options: &mut Vec<String>) {
        let is_flag = |option: &String| option.len() == 2 && option.starts_with('-');
        let is_short = |option: &String| option.starts_with('-') && !option.starts_with("--");
        let Some(flag) = options.iter().position(is_flag) else {
            return;
        };
        if !self.chance(40) {
            return;
        }
        let flag = options.swap_remove(flag);
        let others: Vec<usize> = (0..options.len())
            .filter(|index| is_short(&options[*index]))
            .collect();
        if others.is_empty() {
            options.push(flag);
        } else {
            let other = others[self.below(others.len())];
            let letters = options[other].split_off(1);
            options[other] = flag + &letters;
        }
    }
}
