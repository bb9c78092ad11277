//! A private node on its way through life, and one that cannot start.

use std::net::TcpStream;

use testbroker::{Broker, Options};

#[test]
fn a_killed_node_comes_back_with_its_data_on_its_port() {
    let mut node = Broker::start(&Options::new()).unwrap();
    let address = node.address();
    node.rabbitmqctl(&["add_vhost", "remembered"]).unwrap();
    let default = match node.version().unwrap() {
        version if version.starts_with("3.") => "134217728",
        _ => "16777216",
    };
    assert_eq!(largest_message(&node).unwrap(), default);
    node.kill();
    assert!(TcpStream::connect(address).is_err());
    node.resume().unwrap();
    assert!(TcpStream::connect(address).is_ok());
    assert!(
        node.rabbitmqctl(&["list_vhosts"])
            .unwrap()
            .contains("remembered")
    );
    node.stop().unwrap();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn what_is_configured_counts() {
    let options = Options::new().configure("max_message_size = 1000000");
    let node = Broker::start(&options).unwrap();
    assert_eq!(largest_message(&node).unwrap(), "1000000");
}

/// In bytes.
fn largest_message(node: &Broker) -> anyhow::Result<String> {
    let setting = "{ok, Size} = application:get_env(rabbit, max_message_size), Size.";
    Ok(node.rabbitmqctl(&["eval", setting])?.trim().to_owned())
}

#[test]
fn a_node_that_cannot_start_tells_why() {
    let error = Broker::start(&Options::new().configure("no_such_setting = 1")).unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}
