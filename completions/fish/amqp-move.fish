complete -c amqp-move -s q -l queue -d 'The queue to move messages from' -r
complete -c amqp-move -s e -l exchange -d 'The exchange to move them to [default: the default exchange, where the routing key is a queue\'s name]' -r
complete -c amqp-move -s r -l routing-key -d 'The routing key; without --exchange, the queue to move them to [default with --exchange: the message\'s own]' -r
complete -c amqp-move -s c -l count -d 'Move at most N messages [default: as many as there are at the start]' -r
complete -c amqp-move -l rate -d 'Move no more than N messages a second, or with /m or /h a minute or an hour, evenly spaced' -r
complete -c amqp-move -l progress -d 'Show progress on standard error; auto = on a terminal' -r -f -a "auto\t''
always\t''
never\t''"
complete -c amqp-move -l status-address -d 'Serve /livez, /readyz and /metrics (Prometheus) over HTTP on this address' -r
complete -c amqp-move -s u -l url -d 'Broker\'s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster' -r
complete -c amqp-move -s s -l server -d 'Broker\'s host [default: localhost]' -r
complete -c amqp-move -l port -d 'Broker\'s port [default: 5672, with TLS 5671]' -r
complete -c amqp-move -l vhost -d 'Virtual host [default: /]' -r
complete -c amqp-move -l username -d 'User name [default: guest]' -r
complete -c amqp-move -l password -d 'Password; the process list shows it, --authfile hides it [default: guest]' -r
complete -c amqp-move -l heartbeat -d 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]' -r
complete -c amqp-move -l authfile -d 'File with two lines, username:NAME and password:SECRET' -r -F
complete -c amqp-move -l connect-timeout -d 'Time limit for connecting; a DURATION is 500ms, 30s, 5m, 1h or plain seconds [default: 10s]' -r
complete -c amqp-move -l retry -d 'Time to keep trying while the broker is unreachable [default: 0s]' -r
complete -c amqp-move -l connection-name -d 'Name that the broker lists the connection by (default: PROGRAM@HOST:PID)' -r
complete -c amqp-move -l cacert -d 'CA certificates to trust besides the system\'s (PEM)' -r -F
complete -c amqp-move -l cert -d 'Client certificate (PEM)' -r -F
complete -c amqp-move -l key -d 'Private key of the client certificate (PEM)' -r -F
complete -c amqp-move -l server-name -d 'Name that the server\'s certificate must be for [default: the host]' -r
complete -c amqp-move -l log-format -d 'Format of the tool\'s own words on standard error: text, or json (a line each) [default: text]' -r -f -a "text\t''
json\t''"
complete -c amqp-move -l back -d 'Move each message to where it was published before amqp-consume parked it, without the headers that tell of that'
complete -c amqp-move -l follow -d 'Wait for more messages instead of ending'
complete -c amqp-move -l json -d 'Print a line of JSON for each moved message: its id, and where its copy went'
complete -c amqp-move -l ssl -d 'Use TLS, as a URL of amqps:// does'
complete -c amqp-move -l no-default-cert-paths -d 'Trust only --cacert, not the system\'s certificates'
complete -c amqp-move -l insecure -d 'Do not verify the server\'s certificate; anyone may read along'
complete -c amqp-move -s '?' -l help -d 'Show this help and exit'
complete -c amqp-move -l usage -d 'Show a brief list of all options and exit'
complete -c amqp-move -s V -l version -d 'Print version'
