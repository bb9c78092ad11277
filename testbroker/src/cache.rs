//! Where brokers are kept that no package of this system has: downloaded once, used by every clone.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// `${XDG_CACHE_HOME:-~/.cache}/amqp-tools/NAME`, whether it is there or not.
pub fn cache_folder(name: &str) -> Result<PathBuf> {
    let set = |variable| env::var_os(variable).filter(|value| !value.is_empty());
    let cache = set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(cache.join("amqp-tools").join(name))
}
