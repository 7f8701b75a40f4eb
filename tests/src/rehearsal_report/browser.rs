//! A real Chromium without a window: what it shows, and what it complains of.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

/// Which colours the reader asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Light,
    Dark,
}

impl Scheme {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// As Blink numbers them.
    const fn setting(self) -> &'static str {
        match self {
            Self::Light => "--blink-settings=preferredColorScheme=1",
            Self::Dark => "--blink-settings=preferredColorScheme=0",
        }
    }
}

/// What came of printing.
#[derive(Debug)]
pub(super) struct Paper {
    pub(super) bytes: usize,
    pub(super) pages: usize,
}

/// A browser, and where it puts its pictures.
#[derive(Debug)]
pub(super) struct Browser {
    program: String,
    version: String,
    folder: PathBuf,
}

impl Browser {
    /// Finds one on the path, or the one that `HOLDFAST_TEST_CHROMIUM` names.
    ///
    /// # Panics
    /// With what to type, where there is none.
    pub(super) async fn find(folder: &Path) -> Self {
        let named = std::env::var("HOLDFAST_TEST_CHROMIUM").ok();
        let known = ["chromium", "chromium-browser", "google-chrome"].map(str::to_owned);
        for program in named.into_iter().chain(known) {
            let Ok(said) = Command::new(&program).arg("--version").output().await else { continue };
            if said.status.success() {
                let version = String::from_utf8_lossy(&said.stdout).trim().to_owned();
                return Self { program, version, folder: folder.to_owned() };
            }
        }
        panic!("there is no Chromium: type `tests/chromium/prepare`, which installs one or says how");
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Opens a page in a window of this size; gives its complaints, and the picture that it took.
    pub(super) async fn photograph(
        &self,
        page: &Path,
        scheme: Scheme,
        (width, height): (u32, u32),
        name: &str,
    ) -> (Vec<String>, PathBuf) {
        let picture = self.folder.join(format!("{name}.png"));
        let arguments =
            [scheme.setting().to_owned(), format!("--window-size={width},{height}"), option("--screenshot", &picture)];
        (self.open(page, &arguments, &picture).await, picture)
    }

    /// Prints a page.
    pub(super) async fn print(&self, page: &Path) -> (Vec<String>, Paper) {
        let file = self.folder.join("report.pdf");
        let complaints =
            self.open(page, &["--no-pdf-header-footer".to_owned(), option("--print-to-pdf", &file)], &file).await;
        let printed = std::fs::read(&file).expect("a page was printed");
        // "/Type /Page" but not "/Type /Pages".
        let pages = String::from_utf8_lossy(&printed).matches("/Type /Page\n").count();
        (complaints, Paper { bytes: printed.len(), pages })
    }

    async fn open(&self, page: &Path, arguments: &[String], makes: &Path) -> Vec<String> {
        std::fs::remove_file(makes).ok();
        let profile = TempDir::with_prefix("holdfast-chromium-").expect("there is a directory for what is temporary");
        let page = std::path::absolute(page).expect("there is a working directory");
        let done = Command::new(&self.program)
            // Its own sandbox wants rights that a container does not give, and the page is ours.
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
            .args(["--enable-logging=stderr", "--v=0", "--disable-dev-shm-usage", "--force-device-scale-factor=1"])
            .arg(option("--user-data-dir", profile.path()))
            .args(arguments)
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null())
            .output()
            .await
            .expect("a browser that said its version can be started");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success() && makes.exists(), "{} did not do it:\n{said}", self.program);
        said.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect()
    }
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}
