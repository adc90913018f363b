//! | file | purpose |
//! |---|---|
//! | `fleet` | a database with installs, and watchers that look at it |
//! | `repository` | repositories, made by git |
//! | `servers` | git daemon, Apache with git's backend, OpenSSH |
//! | `faulty` | servers that do not do what they should |
//! | `process` | programs that end with the test |

pub mod faulty;
pub mod fleet;
pub mod process;
pub mod repository;
pub mod servers;

pub use fleet::Fleet;
pub use repository::Folder;
