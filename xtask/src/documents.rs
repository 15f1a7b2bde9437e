//! Links between documents lead somewhere.

use std::path::Path;

use anyhow::{Context, Result};

use super::files;

pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for path in files(root, ".md")? {
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let folder = path.parent().unwrap_or(root);
        for target in links(&text) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !folder.join(file).exists() {
                faults.push(format!("{shown}: the link to {target} leads nowhere"));
            }
        }
    }
    Ok(faults)
}

/// The targets of Markdown links that are not addresses of other hosts.
fn links(text: &str) -> Vec<&str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target.trim()))
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:") && !target.starts_with('#'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::links;

    #[test]
    fn takes_only_links_within_the_repository() {
        let text = "[a](docs/a.md#b) and [c](https://example.com) and ![d](e.png) and [f](#g)";
        assert_eq!(links(text), ["docs/a.md#b", "e.png"]);
    }
}
