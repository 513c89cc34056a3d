//! Links between pages: what a page points at is there.

use super::Violation;
use crate::workspace::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in tree.texts(&[".md"]) {
        for (line, target) in links(text) {
            if let Some(file) = resolve(path, target)
                && !tree.exists(&file)
            {
                violations.push(broken(path, line, target));
            }
        }
    }
    // The tests of these rules name pages that are missing on purpose.
    let sources = tree.texts(&[".rs", ".toml"]);
    for (path, text) in sources.filter(|(path, _)| !path.starts_with("xtask/src/tidy/")) {
        for (line, page) in mentions(text) {
            if !tree.exists(page) {
                violations.push(broken(path, line, page));
            }
        }
    }
    violations
}

fn broken(path: &str, line: usize, target: &str) -> Violation {
    let what = format!("the link to {target} leads nowhere");
    Violation::new("link", path, line, what, "write the page, or point at one that is there")
        .about(target)
}

/// The targets of the links in a page, with their lines. Code is not searched.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_fence = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        }
        if in_fence {
            continue;
        }
        // Every second piece between backticks is code.
        for prose in line.split('`').step_by(2) {
            let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            found.extend(targets.map(|(target, _)| (index + 1, target)));
        }
        if let Some((label, target)) = line.split_once("]: ")
            && label.starts_with('[')
        {
            found.push((index + 1, target.trim()));
        }
    }
    found
}

/// The file a link of the page at `path` points at; none when it points outside the repository or
/// into the page itself.
fn resolve(path: &str, target: &str) -> Option<String> {
    let file = target.split(['#', ' ']).next().unwrap_or_default();
    if file.is_empty() || file.contains(':') {
        return None;
    }
    let mut parts: Vec<&str> = match file.starts_with('/') {
        true => Vec::new(),
        false => path.split('/').collect(),
    };
    parts.pop();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The pages under `docs` that a source file names, with their lines.
fn mentions(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(index, line)| {
        line.match_indices("docs/").filter_map(move |(at, _)| {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
            let begins = line[..at].chars().next_back().is_none_or(|c| !is_name(c));
            let rest = &line[at..];
            let page = rest.split(|c: char| !is_name(c)).next().unwrap_or_default();
            let end = page.find(".md")? + ".md".len();
            begins.then(|| (index + 1, &page[..end]))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_resolve_from_the_page_they_stand_on() {
        let tree = Tree::of(&[
            ("README.md", "[a](docs/limits.md#disk) [b](docs) [c](docs/gone.md)\n"),
            ("docs/limits.md", "\n[up](../README.md), [`code`](other.md), [web](https://a.b/c)\n"),
        ]);
        let found: Vec<_> = check(&tree).iter().map(|v| (v.path.clone(), v.line)).collect();
        assert_eq!(found, [("README.md".to_owned(), 1), ("docs/limits.md".to_owned(), 2)]);
    }

    #[test]
    fn code_is_not_searched() {
        assert_eq!(links("```rust\nlet x = a[0](b);\n```\n`a[1](c)`\n"), []);
    }

    #[test]
    fn definitions_of_links_count() {
        assert_eq!(links("[limits]: docs/limits.md\n"), [(1, "docs/limits.md")]);
    }

    #[test]
    fn pages_named_in_sources_are_there() {
        let tree = Tree::of(&[("a/src/a.rs", "//! See docs/gone.md, or other/docs/here.md.\n")]);
        let found: Vec<_> = check(&tree).into_iter().filter_map(|v| v.subject).collect();
        assert_eq!(found, ["docs/gone.md"]);
    }
}
