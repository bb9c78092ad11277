complete -c amqp-call -s e -l exchange -d 'The exchange to publish to [default: the default exchange, where the routing key is a queue\'s name]' -r
complete -c amqp-call -s r -l routing-key -d 'The routing key; without --exchange, the queue\'s name' -r
complete -c amqp-call -s b -l body -d 'The request\'s body [default: all of standard input]' -r
complete -c amqp-call -l timeout -d 'How long the reply may take; after that the request expires, and the exit status is 124' -r
complete -c amqp-call -s C -l content-type -d 'MIME type of the body' -r
complete -c amqp-call -s E -l content-encoding -d 'MIME content encoding of the body' -r
complete -c amqp-call -s H -l header -d 'Header; repeatable' -r
complete -c amqp-call -l typed-header -d 'A header whose value is an integer, true or false where it reads as such, as in x-delay=5000; may be given several times' -r
complete -c amqp-call -l priority -d 'The priority, 0 to 255, for queues made with x-max-priority' -r
complete -c amqp-call -l expiration -d 'Time to live in a queue, in milliseconds' -r
complete -c amqp-call -l correlation-id -d 'Correlation id of a request and its reply' -r
complete -c amqp-call -l message-id -d 'Message id' -r
complete -c amqp-call -l type -d 'Message type, by the application\'s own name for it' -r
complete -c amqp-call -l app-id -d 'Name of the publishing application' -r
complete -c amqp-call -l user-id -d 'User name; the broker refuses any but the connection\'s' -r
complete -c amqp-call -l timestamp -d 'Timestamp, in seconds since 1970' -r
complete -c amqp-call -s u -l url -d 'Broker\'s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster' -r
complete -c amqp-call -s s -l server -d 'Broker\'s host [default: localhost]' -r
complete -c amqp-call -l port -d 'Broker\'s port [default: 5672, with TLS 5671]' -r
complete -c amqp-call -l vhost -d 'Virtual host [default: /]' -r
complete -c amqp-call -l username -d 'User name [default: guest]' -r
complete -c amqp-call -l password -d 'Password; the process list shows it, --authfile hides it [default: guest]' -r
complete -c amqp-call -l heartbeat -d 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]' -r
complete -c amqp-call -l authfile -d 'File with two lines, username:NAME and password:SECRET' -r -F
complete -c amqp-call -l connect-timeout -d 'Time limit for connecting; a DURATION is 500ms, 30s, 5m, 1h or plain seconds [default: 10s]' -r
complete -c amqp-call -l retry -d 'Time to keep trying while the broker is unreachable [default: 0s]' -r
complete -c amqp-call -l connection-name -d 'Name that the broker lists the connection by (default: PROGRAM@HOST:PID)' -r
complete -c amqp-call -l cacert -d 'CA certificates to trust besides the system\'s (PEM)' -r -F
complete -c amqp-call -l cert -d 'Client certificate (PEM)' -r -F
complete -c amqp-call -l key -d 'Private key of the client certificate (PEM)' -r -F
complete -c amqp-call -l server-name -d 'Name that the server\'s certificate must be for [default: the host]' -r
complete -c amqp-call -s t -l reply-to -d 'Queue for replies' -r
complete -c amqp-call -l log-format -d 'Format of the tool\'s own words on standard error: text, or json (a line each) [default: text]' -r -f -a "text\t''
json\t''"
complete -c amqp-call -l json -d 'Print the reply with its properties as a line of JSON; the exit status stays the reply\'s'
complete -c amqp-call -l lossy -d 'With --json: print also a reply that JSON cannot hold all of (see amqp-tools(7))'
complete -c amqp-call -s p -l persistent -d 'Make messages persistent: in durable queues they survive a restart of the broker'
complete -c amqp-call -l ssl -d 'Use TLS, as a URL of amqps:// does'
complete -c amqp-call -l no-default-cert-paths -d 'Trust only --cacert, not the system\'s certificates'
complete -c amqp-call -l insecure -d 'Do not verify the server\'s certificate; anyone may read along'
complete -c amqp-call -s '?' -l help -d 'Show this help and exit'
complete -c amqp-call -l usage -d 'Show a brief list of all options and exit'
complete -c amqp-call -s V -l version -d 'Print version'
