//! `cargo xtask completions`: the scripts in `completions/`, from the clap definitions.
//!
//! clap's own scripts serve for elvish and PowerShell. Its script for zsh gets a better completion of COMMAND.

mod bash;
mod fish;
mod options;

use std::fs;
use std::path::Path;

use anyhow::Result;
use clap::Command;
use clap_complete::Shell;

use crate::tools;
use options::Options;

/// Writes a script for each tool and shell into `completions/SHELL/`.
pub(crate) fn generate(root: &Path) -> Result<()> {
    for shell in [
        Shell::Bash,
        Shell::Zsh,
        Shell::Fish,
        Shell::Elvish,
        Shell::PowerShell,
    ] {
        let folder = root.join("completions").join(shell.to_string());
        fs::create_dir_all(&folder)?;
        for mut command in tools::all() {
            let file = folder.join(file_name(shell, command.get_name()));
            fs::write(file, script(shell, &mut command)?)?;
        }
    }
    Ok(())
}

/// The name under which the shell looks a command's script up.
fn file_name(shell: Shell, command: &str) -> String {
    match shell {
        Shell::Zsh => format!("_{command}"),
        Shell::Fish => format!("{command}.fish"),
        Shell::Elvish => format!("{command}.elv"),
        Shell::PowerShell => format!("_{command}.ps1"),
        _ => command.to_owned(),
    }
}

fn script(shell: Shell, command: &mut Command) -> Result<String> {
    command.build();
    let options = Options::of(command);
    if shell == Shell::Bash {
        return Ok(bash::script(&options));
    }
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, command, name, &mut script);
    let script = String::from_utf8(script)?;
    Ok(match shell {
        Shell::Fish => fish::improved(&script, &options),
        Shell::Zsh if options.has_command => with_commands_of_zsh(&script),
        _ => script,
    })
}

/// What follows COMMAND is completed as a command line of its own, and no option of the tool is offered there.
fn with_commands_of_zsh(script: &str) -> String {
    script
        .replace(
            "_arguments_options=(-s -S -C)",
            "_arguments_options=(-A '-*' -s -S -C)",
        )
        .lines()
        .map(|line| {
            if line.starts_with("'*::command -- ") {
                "'(-):command:_command_names -e' \\\n'*::arguments:_normal' \\\n".to_owned()
            } else {
                format!("{line}\n")
            }
        })
        .collect()
}
