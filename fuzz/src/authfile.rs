//! Auth files: two lines or an error; what is read reads the same again, and shows no password.

use amqp_tools::broker::Credentials;
use amqp_tools::cli::authfile::parse;

pub fn check(input: &[u8]) {
    let Ok(credentials) = parse(super::text(input)) else {
        return;
    };
    let (name, password) = (&credentials.username, &credentials.password);
    assert!(!name.contains('\n') && !password.contains('\n'));
    let same = parse(&format!("username:{name}\npassword:{password}\n")).unwrap();
    assert!(same == credentials);
    let another = Credentials {
        password: "another".to_owned(),
        ..credentials.clone()
    };
    assert_eq!(format!("{credentials:?}"), format!("{another:?}"));
}
