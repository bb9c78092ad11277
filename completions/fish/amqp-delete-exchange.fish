complete -c amqp-delete-exchange -s e -l exchange -d 'The exchange\'s name' -r
complete -c amqp-delete-exchange -s u -l url -d 'Broker\'s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster' -r
complete -c amqp-delete-exchange -s s -l server -d 'Broker\'s host [default: localhost]' -r
complete -c amqp-delete-exchange -l port -d 'Broker\'s port [default: 5672, with TLS 5671]' -r
complete -c amqp-delete-exchange -l vhost -d 'Virtual host [default: /]' -r
complete -c amqp-delete-exchange -l username -d 'User name [default: guest]' -r
complete -c amqp-delete-exchange -l password -d 'Password; the process list shows it, --authfile hides it [default: guest]' -r
complete -c amqp-delete-exchange -l heartbeat -d 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]' -r
complete -c amqp-delete-exchange -l authfile -d 'File with two lines, username:NAME and password:SECRET' -r -F
complete -c amqp-delete-exchange -l connect-timeout -d 'Time limit for connecting; a DURATION is 500ms, 30s, 5m, 1h or plain seconds [default: 10s]' -r
complete -c amqp-delete-exchange -l retry -d 'Time to keep trying while the broker is unreachable [default: 0s]' -r
complete -c amqp-delete-exchange -l connection-name -d 'Name that the broker lists the connection by (default: PROGRAM@HOST:PID)' -r
complete -c amqp-delete-exchange -l cacert -d 'CA certificates to trust besides the system\'s (PEM)' -r -F
complete -c amqp-delete-exchange -l cert -d 'Client certificate (PEM)' -r -F
complete -c amqp-delete-exchange -l key -d 'Private key of the client certificate (PEM)' -r -F
complete -c amqp-delete-exchange -l server-name -d 'Name that the server\'s certificate must be for [default: the host]' -r
complete -c amqp-delete-exchange -l log-format -d 'Format of the tool\'s own words on standard error: text, or json (a line each) [default: text]' -r -f -a "text\t''
json\t''"
complete -c amqp-delete-exchange -l if-unused -d 'Refuse to delete an exchange that queues or exchanges are bound to'
complete -c amqp-delete-exchange -l ssl -d 'Use TLS, as a URL of amqps:// does'
complete -c amqp-delete-exchange -l no-default-cert-paths -d 'Trust only --cacert, not the system\'s certificates'
complete -c amqp-delete-exchange -l insecure -d 'Do not verify the server\'s certificate; anyone may read along'
complete -c amqp-delete-exchange -s '?' -l help -d 'Show this help and exit'
complete -c amqp-delete-exchange -l usage -d 'Show a brief list of all options and exit'
complete -c amqp-delete-exchange -s V -l version -d 'Print version'
