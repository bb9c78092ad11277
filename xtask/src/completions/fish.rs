//! The scripts for fish: clap's own with their `?` quoted, and with a completion of COMMAND.

use super::options::Options;

const COMMAND: &str = r"# COMMAND and its arguments, without the word that is being typed; fails where COMMAND does not stand there yet.
function __fish_@FUNCTION@_command
    set -l words (commandline -opc)[2..-1]
    while set -q words[1]
        set -l word $words[1]
        set -e words[1]
        switch $word
            case --
                set -q words[1]; or return 1
                string escape -- $words
                return 0
            case @WITH_VALUE@
                set -q words[1]; and set -e words[1]
            case '--*'
            case '-*'
                if string match -rq -- '^-[@FLAGS@]*[@LETTERS@]$' $word; and set -q words[1]
                    set -e words[1]
                end
            case '*'
                string escape -- $word $words
                return 0
        end
    end
    return 1
end

# What is behind COMMAND is completed as if it stood alone.
function __fish_@FUNCTION@_operands
    set -l command (__fish_@FUNCTION@_command)
    complete -C (string join ' ' -- $command (commandline -ct))
end

complete -c @TOOL@ -x -a '(__fish_@FUNCTION@_operands)'
";

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
