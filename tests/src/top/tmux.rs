//! A terminal that can be looked at: a tmux of the proof's own.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tokio::process::Command;

/// How often the screen is looked at while something is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(30);
const SESSION: &str = "top";

/// One session with one window. It ends with this value.
#[derive(Debug)]
pub(super) struct Tmux {
    socket: String,
}

impl Tmux {
    /// Starts a shell's command line in a window of this size.
    pub(super) async fn start(directory: &Path, (width, height): (u16, u16), line: &str) -> Self {
        // A number of its own: several may live at once.
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let tmux = Self { socket: format!("holdfast-proof-{}-{number}", std::process::id()) };
        let (width, height) = (width.to_string(), height.to_string());
        let directory = directory.display().to_string();
        let new = ["new-session", "-d", "-s", SESSION, "-x", &width, "-y", &height, "-c", &directory, line];
        // The window stays when its command has ended, so that its last words can be read.
        tmux.tell(&[new.as_slice(), &[";", "set-option", "-g", "remain-on-exit", "on"]].concat()).await;
        tmux
    }

    /// Presses keys, as tmux names them.
    pub(super) async fn press(&self, keys: &[&str]) {
        tmux_ok(&self.tell(&[&["send-keys", "-t", SESSION], keys].concat()).await);
    }

    pub(super) async fn resize(&self, (width, height): (u16, u16)) {
        let (width, height) = (width.to_string(), height.to_string());
        tmux_ok(&self.tell(&["resize-window", "-t", SESSION, "-x", &width, "-y", &height]).await);
    }

    /// What the window shows; with its colours where they are asked for.
    pub(super) async fn screen(&self, colours: bool) -> String {
        let mut words = vec!["capture-pane", "-p", "-t", SESSION];
        if colours {
            words.push("-e");
        }
        String::from_utf8_lossy(&self.tell(&words).await.stdout).into_owned()
    }

    /// Waits until the screen is as it should be; how long that took.
    ///
    /// # Panics
    /// With the screen, where it never is.
    pub(super) async fn shows(&self, what: &str, is_so: impl Fn(&str) -> bool) -> Duration {
        let begun = Instant::now();
        loop {
            let screen = self.screen(false).await;
            if is_so(&screen) {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < PATIENCE, "never seen: {what}\n{screen}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn tell(&self, words: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.args(["-u", "-L", &self.socket, "-f", "/dev/null"]).args(words);
        command.env("TERM", "xterm-256color").env_remove("TMUX").stdin(Stdio::null());
        command.output().await.expect("tmux can be started")
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // The server of this socket alone, with what runs in it.
        let mut end = std::process::Command::new("tmux");
        let _ = end.args(["-L", &self.socket, "kill-server"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn tmux_ok(output: &Output) {
    assert!(output.status.success(), "tmux: {}", String::from_utf8_lossy(&output.stderr));
}
