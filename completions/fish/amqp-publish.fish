complete -c amqp-publish -s e -l exchange -d 'Exchange to publish to [default: the default exchange]' -r
complete -c amqp-publish -s r -l routing-key -d 'Routing key; without --exchange, the queue\'s name' -r
complete -c amqp-publish -s b -l body -d 'Message body [default: all of standard input]' -r
complete -c amqp-publish -l files-from -d 'Publish the files named in FILE, one name per line (- = standard input)' -r
complete -c amqp-publish -l files0-from -d 'Publish the files named in FILE, NUL-terminated as by find -print0' -r
complete -c amqp-publish -s C -l content-type -d 'MIME type of the body' -r
complete -c amqp-publish -s E -l content-encoding -d 'MIME content encoding of the body' -r
complete -c amqp-publish -s t -l reply-to -d 'Queue for replies' -r
complete -c amqp-publish -s H -l header -d 'Header; repeatable' -r
complete -c amqp-publish -l typed-header -d 'A header whose value is an integer, true or false where it reads as such, as in x-delay=5000; may be given several times' -r
complete -c amqp-publish -l priority -d 'The priority, 0 to 255, for queues made with x-max-priority' -r
complete -c amqp-publish -l expiration -d 'Time to live in a queue, in milliseconds' -r
complete -c amqp-publish -l correlation-id -d 'Correlation id of a request and its reply' -r
complete -c amqp-publish -l message-id -d 'Message id' -r
complete -c amqp-publish -l type -d 'Message type, by the application\'s own name for it' -r
complete -c amqp-publish -l app-id -d 'Name of the publishing application' -r
complete -c amqp-publish -l user-id -d 'User name; the broker refuses any but the connection\'s' -r
complete -c amqp-publish -l timestamp -d 'Timestamp, in seconds since 1970' -r
complete -c amqp-publish -l file-header -d 'Put the name of each message\'s file into a header' -r
complete -c amqp-publish -l rate -d 'Publish no faster than that, evenly: 10 or 10/s a second, 5/m a minute, 100/h an hour' -r
complete -c amqp-publish -l max-in-flight -d 'Maximum number of unconfirmed messages; of their bodies, 16 MiB' -r
complete -c amqp-publish -l checkpoint -d 'Keep in FILE up to where all is confirmed; the same command, run again, goes on from there. It is refused where the destination, the records, the properties or what is confirmed of the input are no longer the same' -r -F
complete -c amqp-publish -l progress -d 'Show progress on standard error; auto = on a terminal' -r -f -a "auto\t''
always\t''
never\t''"
complete -c amqp-publish -l status-address -d 'Serve /livez, /readyz and /metrics (Prometheus) over HTTP on this address' -r
complete -c amqp-publish -s u -l url -d 'Broker\'s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster' -r
complete -c amqp-publish -s s -l server -d 'Broker\'s host [default: localhost]' -r
complete -c amqp-publish -l port -d 'Broker\'s port [default: 5672, with TLS 5671]' -r
complete -c amqp-publish -l vhost -d 'Virtual host [default: /]' -r
complete -c amqp-publish -l username -d 'User name [default: guest]' -r
complete -c amqp-publish -l password -d 'Password; the process list shows it, --authfile hides it [default: guest]' -r
complete -c amqp-publish -l heartbeat -d 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]' -r
complete -c amqp-publish -l authfile -d 'File with two lines, username:NAME and password:SECRET' -r -F
complete -c amqp-publish -l connect-timeout -d 'Time limit for connecting; a DURATION is 500ms, 30s, 5m, 1h or plain seconds [default: 10s]' -r
complete -c amqp-publish -l retry -d 'Time to keep trying while the broker is unreachable [default: 0s]' -r
complete -c amqp-publish -l connection-name -d 'Name that the broker lists the connection by (default: PROGRAM@HOST:PID)' -r
complete -c amqp-publish -l cacert -d 'CA certificates to trust besides the system\'s (PEM)' -r -F
complete -c amqp-publish -l cert -d 'Client certificate (PEM)' -r -F
complete -c amqp-publish -l key -d 'Private key of the client certificate (PEM)' -r -F
complete -c amqp-publish -l server-name -d 'Name that the server\'s certificate must be for [default: the host]' -r
complete -c amqp-publish -l log-format -d 'Format of the tool\'s own words on standard error: text, or json (a line each) [default: text]' -r -f -a "text\t''
json\t''"
complete -c amqp-publish -s l -l line-buffered -d 'Publish one message per line, newline included, as soon as it is read'
complete -c amqp-publish -l chomp -d 'With -l: leave out the newline'
complete -c amqp-publish -s 0 -l null -d 'Publish one message per NUL-terminated record, without the NUL'
complete -c amqp-publish -l jsonl -d 'Publish one message per line of JSON, as amqp-get --json writes it; options override its properties, and -r without -e names a queue'
complete -c amqp-publish -s p -l persistent -d 'Make messages persistent: in durable queues they survive a restart of the broker'
complete -c amqp-publish -l auto-message-id -d 'Give each message an id made of its file\'s name, its number there and its body: the same whenever it is published again, so that a consumer can drop what it has seen'
complete -c amqp-publish -l no-confirm -d 'Do not wait for the broker\'s confirms'
complete -c amqp-publish -l mandatory -d 'Fail if a message reaches no queue [default: for the default exchange only]'
complete -c amqp-publish -l no-mandatory -d 'Let the broker drop messages that reach no queue'
complete -c amqp-publish -l json -d 'Print one JSON object about the run at its end'
complete -c amqp-publish -l ssl -d 'Use TLS, as a URL of amqps:// does'
complete -c amqp-publish -l no-default-cert-paths -d 'Trust only --cacert, not the system\'s certificates'
complete -c amqp-publish -l insecure -d 'Do not verify the server\'s certificate; anyone may read along'
complete -c amqp-publish -s '?' -l help -d 'Show this help and exit'
complete -c amqp-publish -l usage -d 'Show a brief list of all options and exit'
complete -c amqp-publish -s V -l version -d 'Print version'
