//! The report of a rehearsal in a real browser: as a light page, as a dark one, on a telephone, and on paper.
//!
//! The browser's own word decides: it must have nothing to say about the page. So that this means something, a page with a
//! mistake in it is opened first, and the browser must complain of that one.

mod browser;
mod picture;
mod sample;

use std::path::{Path, PathBuf};

use holdfast_rehearsal::report;

use crate::load::{Findings, telling};
use browser::{Browser, Paper, Scheme};
use picture::{Colour, Picture};

/// The width of a window, and a height in which the whole page stands.
const DESK: (u32, u32) = (1_280, 6_200);
const TELEPHONE: (u32, u32) = (500, 10_000);
/// A page of text and lines is mostly paper.
const PAPER_PERCENT: (f64, f64) = (60.0, 99.0);
/// So many points of a side's own colour: its name alone would be a tenth of that.
const SIDE_POINTS_MIN: usize = 1_500;
const PDF_BYTES_MIN: usize = 20_000;

/// What the page's colours are, as its style says.
struct Theme {
    scheme: Scheme,
    paper: Colour,
    off: Colour,
    on: Colour,
}

const THEMES: [Theme; 2] = [
    Theme {
        scheme: Scheme::Light,
        paper: Colour(0xfd, 0xfc, 0xfa),
        off: Colour(0xb0, 0x43, 0x0b),
        on: Colour(0x0a, 0x6a, 0x66),
    },
    Theme {
        scheme: Scheme::Dark,
        paper: Colour(0x16, 0x16, 0x15),
        off: Colour(0xf2, 0x9a, 0x6b),
        on: Colour(0x5c, 0xc9, 0xbe),
    },
];

/// Opens the report that is named, or one with everything in it.
///
/// # Panics
/// Where there is no browser, or no report.
pub async fn run(named: Option<PathBuf>) -> Findings {
    let folder = Path::new("target/rehearsal_report");
    std::fs::create_dir_all(folder).expect("target can be written");
    let browser = Browser::find(folder).await;
    telling(format!("{} opens what is then in {}", browser.version(), folder.display()));
    let mut findings = Findings::default();

    let spoilt = spoilt(folder);
    let (complaints, _) = browser.photograph(&spoilt, Scheme::Light, DESK, "spoilt").await;
    findings.at_least("complaints_of_a_spoilt_page", complaints.len() as f64, 1.0);

    let page = named.unwrap_or_else(|| written(folder));
    for theme in &THEMES {
        look(&browser, &page, theme, &mut findings).await;
    }
    let (complaints, telephone) = browser.photograph(&page, Scheme::Light, TELEPHONE, "telephone").await;
    judge_complaints("telephone", &complaints, &mut findings);
    findings.at_least("telephone_colours", Picture::open(&telephone).colours() as f64, 100.0);
    let (complaints, Paper { bytes, pages }) = browser.print(&page).await;
    judge_complaints("paper", &complaints, &mut findings);
    findings.at_least("paper_bytes", bytes as f64, PDF_BYTES_MIN as f64);
    findings.at_least("paper_pages", pages as f64, 2.0);
    findings
}

/// A report with everything in it that a report can have.
fn written(folder: &Path) -> PathBuf {
    let page = folder.join("report.html");
    report::write(&sample::outcome(), &page).expect("it can be written");
    page
}

/// The same with two mistakes: a line that leads nowhere, and a script, which the page itself forbids.
fn spoilt(folder: &Path) -> PathBuf {
    let text = report::render(&sample::outcome()).expect("it can be rendered");
    let text =
        text.replacen("d=\"M", "d=\"nowhere", 1).replacen("</main>", "<script>document.title</script></main>", 1);
    let page = folder.join("spoilt.html");
    std::fs::write(&page, text).expect("it can be written");
    page
}

async fn look(browser: &Browser, page: &Path, theme: &Theme, findings: &mut Findings) {
    let name = theme.scheme.name();
    let (complaints, taken) = browser.photograph(page, theme.scheme, DESK, name).await;
    judge_complaints(name, &complaints, findings);
    let picture = Picture::open(&taken);
    let paper = picture.share_of(theme.paper) * 100.0;
    findings.at_least(format!("{name}_paper_percent"), paper, PAPER_PERCENT.0);
    findings.at_most(format!("{name}_paper_percent_too"), paper, PAPER_PERCENT.1);
    for (side, colour) in [("off", theme.off), ("on", theme.on)] {
        findings.at_least(format!("{name}_{side}_points"), picture.points_of(colour) as f64, SIDE_POINTS_MIN as f64);
    }
    // Else the page ends beyond what was looked at.
    findings.at_least(format!("{name}_empty_lines_below"), picture.empty_below(theme.paper) as f64, 1.0);
}

fn judge_complaints(name: &str, complaints: &[String], findings: &mut Findings) {
    complaints.iter().for_each(telling);
    findings.at_most(format!("{name}_complaints"), complaints.len() as f64, 0.0);
}
