//! The scripts for bash. clap's own know nothing of `--option=VALUE`, which bash splits at the `=`, and nothing of COMMAND.

use super::options::{OptionWithValue, Options, Value};

const SCRIPT: &str = include_str!("bash.template");

const FIRST_OPERAND: &str = "            *)
                operands=$i
                break
                ;;";

/// What bash-completion does for `env` and the like, where it is loaded; else names of files.
const BEHIND_COMMAND: &str = r#"    # What is behind COMMAND is completed as if it stood alone.
    if [[ $operands ]] && ((operands < ${#words[@]})); then
        if declare -F _comp_command_offset >/dev/null; then
            _comp_command_offset "${begins[operands]}"
        elif declare -F _command_offset >/dev/null; then
            _command_offset "${begins[operands]}"
        fi
        return
    fi
"#;

const NAME_OF_COMMAND: &str = r#"                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -d -c -- "$word")"#;

const FILES: &str = "                : # bash's own completion, of files";

const NOTHING: &str = "                compopt +o default +o bashdefault";

pub(super) fn script(options: &Options) -> String {
    let with_value: Vec<_> = options
        .with_value
        .iter()
        .flat_map(|option| option.spellings.clone())
        .collect();
    let values: Vec<_> = options.with_value.iter().filter_map(branch).collect();
    let (first_operand, behind_command, operands) = match (options.has_command, options.has_files) {
        (true, _) => (FIRST_OPERAND, BEHIND_COMMAND, NAME_OF_COMMAND),
        (false, true) => ("", "", FILES),
        (false, false) => ("", "", NOTHING),
    };
    SCRIPT
        .replace("@TOOL@", &options.tool)
        .replace(
            "@FUNCTION@",
            &format!("_{}", options.tool.replace('-', "_")),
        )
        .replace("@WITH_VALUE@", &with_value.join(" | "))
        .replace("@FLAGS@", &options.flags)
        .replace("@LETTERS@", &options.letters_with_value)
        .replace("@ALL@", &options.all.join(" "))
        .replace("@OPERAND@\n", &lines(first_operand))
        .replace("@BEHIND_COMMAND@\n", &lines(behind_command))
        .replace("@OPERANDS@\n", &lines(operands))
        .replace("@VALUES@\n", &lines(&values.join("\n")))
}

/// A text of several lines, or none.
fn lines(text: &str) -> String {
    match text {
        "" => String::new(),
        _ => format!("{text}\n"),
    }
}

/// How a value is completed; free text is not.
fn branch(option: &OptionWithValue) -> Option<String> {
    let body = match &option.value {
        Value::File => ": # bash's own completion, of files".to_owned(),
        Value::OneOf(words) => format!(
            "mapfile -t COMPREPLY < <(compgen -P \"$prefix\" -W '{}' -- \"$value\")",
            words.join(" ")
        ),
        Value::Text => return None,
    };
    let spellings = option.spellings.join(" | ");
    Some(format!(
        "        {spellings})\n            {body}\n            ;;"
    ))
}
