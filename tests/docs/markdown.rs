//! A page taken apart: blocks of code, words in code, links, headings.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A block of code.
pub struct Block {
    pub language: String,
    /// What is said behind the language, `NAME=VALUE` or a word.
    pub says: Vec<String>,
    pub text: String,
    /// Of its first line of code.
    pub line: usize,
}

impl Block {
    pub fn value(&self, name: &str) -> Option<&str> {
        self.says.iter().find_map(|said| said.strip_prefix(name)?.strip_prefix('='))
    }

    pub fn is(&self, word: &str) -> bool {
        self.says.iter().any(|said| said == word)
    }
}

pub struct Page {
    /// From the root of the repository.
    pub path: String,
    pub blocks: Vec<Block>,
    /// Line and text of what stands in the running text as code.
    pub spans: Vec<(usize, String)>,
    /// Line and destination.
    pub links: Vec<(usize, String)>,
    /// What `#…` may name.
    pub anchors: Vec<String>,
}

impl Page {
    pub fn read(path: &str, text: &str) -> Page {
        let mut page = Page {
            path: path.to_owned(),
            blocks: Vec::new(),
            spans: Vec::new(),
            links: Vec::new(),
            anchors: Vec::new(),
        };
        let (mut block, mut heading) = (None::<Block>, None::<String>);
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = text[..range.start].matches('\n').count() + 1;
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    // What is only indented is a command, too.
                    let (info, begins) = match kind {
                        CodeBlockKind::Fenced(info) => (info.into_string(), line + 1),
                        CodeBlockKind::Indented => ("sh".to_owned(), line),
                    };
                    let mut words = info.split_whitespace().map(str::to_owned);
                    let language = words.next().unwrap_or_default();
                    block = Some(Block { language, says: words.collect(), text: String::new(), line: begins });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap());
                    let same = page.anchors.iter().filter(|other| **other == anchor).count();
                    page.anchors.push(if same == 0 { anchor } else { format!("{anchor}-{same}") });
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line, dest_url.into_string()));
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    page.spans.push((line, code.into_string()));
                }
                Event::Text(said) => {
                    let into = block.as_mut().map(|block| &mut block.text).or(heading.as_mut());
                    into.into_iter().for_each(|text| text.push_str(&said));
                }
                _ => {}
            }
        }
        page
    }
}

/// As GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn a_page_is_taken_apart() {
    let text = "# A `b.c` d\n\nSee [it](x.md#y) and `lapsed run`.\n\n```sh output file=a\none\ntwo\n```\n\n# A b.c d\n\n| a |\n| --- |\n| `c` |\n\n    ./test\n";
    let page = Page::read("p.md", text);
    assert_eq!(page.anchors, ["a-bc-d", "a-bc-d-1"]);
    assert_eq!(page.links, [(3, "x.md#y".to_owned())]);
    assert_eq!(page.spans[1..], [(3, "lapsed run".to_owned()), (14, "c".to_owned())]);
    let [block, indented] = &page.blocks[..] else { panic!("two blocks") };
    assert_eq!((indented.language.as_str(), indented.text.trim()), ("sh", "./test"));
    assert_eq!((block.language.as_str(), block.text.as_str(), block.line), ("sh", "one\ntwo\n", 6));
    assert_eq!((block.is("output"), block.value("file")), (true, Some("a")));
}
