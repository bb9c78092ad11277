//! `cargo xtask completions`: the scripts in `completions/`, from the clap definitions.

use std::fs;
use std::path::Path;

use anyhow::Result;
use clap_complete::{Shell, generate_to};

use crate::tools;

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
            let name = command.get_name().to_owned();
            let script = generate_to(shell, &mut command, &name, &folder)?;
            if shell == Shell::Bash {
                // bash-completion looks a command's script up under the command's own name.
                fs::rename(script, folder.join(&name))?;
            }
        }
    }
    Ok(())
}
