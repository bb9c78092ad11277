
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'amqp-publish' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'amqp-publish'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'amqp-publish' {
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'Exchange to publish to [default: the default exchange]')
            [CompletionResult]::new('--exchange', '--exchange', [CompletionResultType]::ParameterName, 'Exchange to publish to [default: the default exchange]')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'Routing key; without --exchange, the queue''s name')
            [CompletionResult]::new('--routing-key', '--routing-key', [CompletionResultType]::ParameterName, 'Routing key; without --exchange, the queue''s name')
            [CompletionResult]::new('-b', '-b', [CompletionResultType]::ParameterName, 'Message body [default: all of standard input]')
            [CompletionResult]::new('--body', '--body', [CompletionResultType]::ParameterName, 'Message body [default: all of standard input]')
            [CompletionResult]::new('--files-from', '--files-from', [CompletionResultType]::ParameterName, 'Publish the files named in FILE, one name per line (- = standard input)')
            [CompletionResult]::new('--files0-from', '--files0-from', [CompletionResultType]::ParameterName, 'Publish the files named in FILE, NUL-terminated as by find -print0')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'MIME type of the body')
            [CompletionResult]::new('--content-type', '--content-type', [CompletionResultType]::ParameterName, 'MIME type of the body')
            [CompletionResult]::new('-E', '-E ', [CompletionResultType]::ParameterName, 'MIME content encoding of the body')
            [CompletionResult]::new('--content-encoding', '--content-encoding', [CompletionResultType]::ParameterName, 'MIME content encoding of the body')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Queue for replies')
            [CompletionResult]::new('--reply-to', '--reply-to', [CompletionResultType]::ParameterName, 'Queue for replies')
            [CompletionResult]::new('-H', '-H ', [CompletionResultType]::ParameterName, 'Header; repeatable')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Header; repeatable')
            [CompletionResult]::new('--typed-header', '--typed-header', [CompletionResultType]::ParameterName, 'A header whose value is an integer, true or false where it reads as such, as in x-delay=5000; may be given several times')
            [CompletionResult]::new('--priority', '--priority', [CompletionResultType]::ParameterName, 'The priority, 0 to 255, for queues made with x-max-priority')
            [CompletionResult]::new('--expiration', '--expiration', [CompletionResultType]::ParameterName, 'Time to live in a queue, in milliseconds')
            [CompletionResult]::new('--correlation-id', '--correlation-id', [CompletionResultType]::ParameterName, 'Correlation id of a request and its reply')
            [CompletionResult]::new('--message-id', '--message-id', [CompletionResultType]::ParameterName, 'Message id')
            [CompletionResult]::new('--type', '--type', [CompletionResultType]::ParameterName, 'Message type, by the application''s own name for it')
            [CompletionResult]::new('--app-id', '--app-id', [CompletionResultType]::ParameterName, 'Name of the publishing application')
            [CompletionResult]::new('--user-id', '--user-id', [CompletionResultType]::ParameterName, 'User name; the broker refuses any but the connection''s')
            [CompletionResult]::new('--timestamp', '--timestamp', [CompletionResultType]::ParameterName, 'Timestamp, in seconds since 1970')
            [CompletionResult]::new('--file-header', '--file-header', [CompletionResultType]::ParameterName, 'Put the name of each message''s file into a header')
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Publish no faster than that, evenly: 10 or 10/s a second, 5/m a minute, 100/h an hour')
            [CompletionResult]::new('--max-in-flight', '--max-in-flight', [CompletionResultType]::ParameterName, 'Maximum number of unconfirmed messages; of their bodies, 16 MiB')
            [CompletionResult]::new('--checkpoint', '--checkpoint', [CompletionResultType]::ParameterName, 'Keep in FILE up to where all is confirmed; the same command, run again, goes on from there. It is refused where the destination, the records, the properties or what is confirmed of the input are no longer the same')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show progress on standard error; auto = on a terminal')
            [CompletionResult]::new('--status-address', '--status-address', [CompletionResultType]::ParameterName, 'Serve /livez, /readyz and /metrics (Prometheus) over HTTP on this address')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'Broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'Broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Broker''s host [default: localhost]')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Broker''s host [default: localhost]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'Broker''s port [default: 5672, with TLS 5671]')
            [CompletionResult]::new('--vhost', '--vhost', [CompletionResultType]::ParameterName, 'Virtual host [default: /]')
            [CompletionResult]::new('--username', '--username', [CompletionResultType]::ParameterName, 'User name [default: guest]')
            [CompletionResult]::new('--password', '--password', [CompletionResultType]::ParameterName, 'Password; the process list shows it, --authfile hides it [default: guest]')
            [CompletionResult]::new('--heartbeat', '--heartbeat', [CompletionResultType]::ParameterName, 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]')
            [CompletionResult]::new('--authfile', '--authfile', [CompletionResultType]::ParameterName, 'File with two lines, username:NAME and password:SECRET')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time limit for connecting; a DURATION is 500ms, 30s, 5m, 1h or plain seconds [default: 10s]')
            [CompletionResult]::new('--retry', '--retry', [CompletionResultType]::ParameterName, 'Time to keep trying while the broker is unreachable [default: 0s]')
            [CompletionResult]::new('--connection-name', '--connection-name', [CompletionResultType]::ParameterName, 'Name that the broker lists the connection by (default: PROGRAM@HOST:PID)')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'CA certificates to trust besides the system''s (PEM)')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (PEM)')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Private key of the client certificate (PEM)')
            [CompletionResult]::new('--server-name', '--server-name', [CompletionResultType]::ParameterName, 'Name that the server''s certificate must be for [default: the host]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Format of the tool''s own words on standard error: text, or json (a line each) [default: text]')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'Publish one message per line, newline included, as soon as it is read')
            [CompletionResult]::new('--line-buffered', '--line-buffered', [CompletionResultType]::ParameterName, 'Publish one message per line, newline included, as soon as it is read')
            [CompletionResult]::new('--chomp', '--chomp', [CompletionResultType]::ParameterName, 'With -l: leave out the newline')
            [CompletionResult]::new('-0', '-0', [CompletionResultType]::ParameterName, 'Publish one message per NUL-terminated record, without the NUL')
            [CompletionResult]::new('--null', '--null', [CompletionResultType]::ParameterName, 'Publish one message per NUL-terminated record, without the NUL')
            [CompletionResult]::new('--jsonl', '--jsonl', [CompletionResultType]::ParameterName, 'Publish one message per line of JSON, as amqp-get --json writes it; options override its properties, and -r without -e names a queue')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'Make messages persistent: in durable queues they survive a restart of the broker')
            [CompletionResult]::new('--persistent', '--persistent', [CompletionResultType]::ParameterName, 'Make messages persistent: in durable queues they survive a restart of the broker')
            [CompletionResult]::new('--auto-message-id', '--auto-message-id', [CompletionResultType]::ParameterName, 'Give each message an id made of its file''s name, its number there and its body: the same whenever it is published again, so that a consumer can drop what it has seen')
            [CompletionResult]::new('--no-confirm', '--no-confirm', [CompletionResultType]::ParameterName, 'Do not wait for the broker''s confirms')
            [CompletionResult]::new('--mandatory', '--mandatory', [CompletionResultType]::ParameterName, 'Fail if a message reaches no queue [default: for the default exchange only]')
            [CompletionResult]::new('--no-mandatory', '--no-mandatory', [CompletionResultType]::ParameterName, 'Let the broker drop messages that reach no queue')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object about the run at its end')
            [CompletionResult]::new('--ssl', '--ssl', [CompletionResultType]::ParameterName, 'Use TLS, as a URL of amqps:// does')
            [CompletionResult]::new('--no-default-cert-paths', '--no-default-cert-paths', [CompletionResultType]::ParameterName, 'Trust only --cacert, not the system''s certificates')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Do not verify the server''s certificate; anyone may read along')
            [CompletionResult]::new('-?', '-?', [CompletionResultType]::ParameterName, 'Show this help and exit')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Show this help and exit')
            [CompletionResult]::new('--usage', '--usage', [CompletionResultType]::ParameterName, 'Show a brief list of all options and exit')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
