complete -c amqp-declare-exchange -s e -l exchange -d 'The exchange\'s name' -r
complete -c amqp-declare-exchange -s t -l type -d 'How messages are matched with bindings: direct, fanout, topic, headers, or a type that a plugin of the broker adds' -r
complete -c amqp-declare-exchange -s a -l argument -d 'Set an argument of the exchange, such as alternate-exchange=NAME; integers, true and false are recognised as such' -r
complete -c amqp-declare-exchange -l bind -d 'Bind to an exchange, with a routing key' -r
complete -c amqp-declare-exchange -l unbind -d 'End such a binding; one that there is not is no error' -r
complete -c amqp-declare-exchange -l bind-argument -d 'An argument of each --bind and --unbind, for headers exchanges: x-match=any, or a header and its value; typed as by --argument' -r
complete -c amqp-declare-exchange -s u -l url -d 'Broker\'s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster' -r
complete -c amqp-declare-exchange -s s -l server -d 'Broker\'s host [default: localhost]' -r
complete -c amqp-declare-exchange -l port -d 'Broker\'s port [default: 5672, with TLS 5671]' -r
complete -c amqp-declare-exchange -l vhost -d 'Virtual host [default: /]' -r
complete -c amqp-declare-exchange -l username -d 'User name [default: guest]' -r
complete -c amqp-declare-exchange -l password -d 'Password; the process list shows it, --authfile hides it [default: guest]' -r
complete -c amqp-declare-exchange -l heartbeat -d 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]' -r
complete -c amqp-declare-exchange -l authfile -d 'File with two lines, username:NAME and password:SECRET' -r -F
complete -c amqp-declare-exchange -l connect-timeout -d 'Time limit for connecting; a DURATION is 500ms, 30s, 5m, 1h or plain seconds [default: 10s]' -r
complete -c amqp-declare-exchange -l retry -d 'Time to keep trying while the broker is unreachable [default: 0s]' -r
complete -c amqp-declare-exchange -l connection-name -d 'Name that the broker lists the connection by (default: PROGRAM@HOST:PID)' -r
complete -c amqp-declare-exchange -l cacert -d 'CA certificates to trust besides the system\'s (PEM)' -r -F
complete -c amqp-declare-exchange -l cert -d 'Client certificate (PEM)' -r -F
complete -c amqp-declare-exchange -l key -d 'Private key of the client certificate (PEM)' -r -F
complete -c amqp-declare-exchange -l server-name -d 'Name that the server\'s certificate must be for [default: the host]' -r
complete -c amqp-declare-exchange -l log-format -d 'Format of the tool\'s own words on standard error: text, or json (a line each) [default: text]' -r -f -a "text\t''
json\t''"
complete -c amqp-declare-exchange -s d -l durable -d 'Let the exchange survive a restart of the broker'
complete -c amqp-declare-exchange -l auto-delete -d 'Let the exchange end with its last binding'
complete -c amqp-declare-exchange -l internal -d 'Let the exchange take messages from other exchanges alone'
complete -c amqp-declare-exchange -l passive -d 'Only check that the exchange exists'
complete -c amqp-declare-exchange -l json -d 'Print {"exchange":NAME} a line'
complete -c amqp-declare-exchange -l ssl -d 'Use TLS, as a URL of amqps:// does'
complete -c amqp-declare-exchange -l no-default-cert-paths -d 'Trust only --cacert, not the system\'s certificates'
complete -c amqp-declare-exchange -l insecure -d 'Do not verify the server\'s certificate; anyone may read along'
complete -c amqp-declare-exchange -s '?' -l help -d 'Show this help and exit'
complete -c amqp-declare-exchange -l usage -d 'Show a brief list of all options and exit'
complete -c amqp-declare-exchange -s V -l version -d 'Print version'
