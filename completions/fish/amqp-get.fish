complete -c amqp-get -s q -l queue -d 'Queue to take messages from' -r
complete -c amqp-get -s c -l count -d 'Maximum number of messages' -r
complete -c amqp-get -s u -l url -d 'Broker\'s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster' -r
complete -c amqp-get -s s -l server -d 'Broker\'s host [default: localhost]' -r
complete -c amqp-get -l port -d 'Broker\'s port [default: 5672, with TLS 5671]' -r
complete -c amqp-get -l vhost -d 'Virtual host [default: /]' -r
complete -c amqp-get -l username -d 'User name [default: guest]' -r
complete -c amqp-get -l password -d 'Password; the process list shows it, --authfile hides it [default: guest]' -r
complete -c amqp-get -l heartbeat -d 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]' -r
complete -c amqp-get -l authfile -d 'File with two lines, username:NAME and password:SECRET' -r -F
complete -c amqp-get -l connect-timeout -d 'Time limit for connecting; a DURATION is 500ms, 30s, 5m, 1h or plain seconds [default: 10s]' -r
complete -c amqp-get -l retry -d 'Time to keep trying while the broker is unreachable [default: 0s]' -r
complete -c amqp-get -l connection-name -d 'Name that the broker lists the connection by (default: PROGRAM@HOST:PID)' -r
complete -c amqp-get -l cacert -d 'CA certificates to trust besides the system\'s (PEM)' -r -F
complete -c amqp-get -l cert -d 'Client certificate (PEM)' -r -F
complete -c amqp-get -l key -d 'Private key of the client certificate (PEM)' -r -F
complete -c amqp-get -l server-name -d 'Name that the server\'s certificate must be for [default: the host]' -r
complete -c amqp-get -l log-format -d 'Format of the tool\'s own words on standard error: text, or json (a line each) [default: text]' -r -f -a "text\t''
json\t''"
complete -c amqp-get -l requeue -d 'Requeue the messages when all are written'
complete -c amqp-get -l json -d 'Write each message as a line of JSON, as amqp-publish --jsonl reads it'
complete -c amqp-get -l lossy -d 'With --json: write also a message that JSON cannot hold all of (see amqp-tools(7))'
complete -c amqp-get -l ssl -d 'Use TLS, as a URL of amqps:// does'
complete -c amqp-get -l no-default-cert-paths -d 'Trust only --cacert, not the system\'s certificates'
complete -c amqp-get -l insecure -d 'Do not verify the server\'s certificate; anyone may read along'
complete -c amqp-get -s '?' -l help -d 'Show this help and exit'
complete -c amqp-get -l usage -d 'Show a brief list of all options and exit'
complete -c amqp-get -s V -l version -d 'Print version'
