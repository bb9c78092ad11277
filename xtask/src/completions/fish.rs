//! The scripts for fish: clap's own with their `?` quoted, and with a completion of COMMAND.

use super::options::Options;

const COMMAND: &str = include_str!("fish.template");

/// clap's script, made right.
pub(super) fn improved(script: &str, options: &Options) -> String {
    let script = script.replace(" -s ? ", " -s '?' ");
    if !options.has_command {
        return script;
    }
    let function = options.tool.replace('-', "_");
    let with_value: Vec<_> = options
        .with_value
        .iter()
        .flat_map(|option| option.spellings.clone())
        .collect();
    let command = COMMAND
        .replace("@TOOL@", &options.tool)
        .replace("@FUNCTION@", &function)
        .replace("@WITH_VALUE@", &with_value.join(" "))
        .replace("@FLAGS@", &options.flags)
        .replace("@LETTERS@", &options.letters_with_value);
    let name = format!("complete -c {} ", options.tool);
    let before_command = script.replace(&name, &format!("{name}-n $before_command "));
    format!(
        "set -l before_command 'not __fish_{function}_command >/dev/null'\n{}\n{command}",
        before_command.trim_end()
    )
}
