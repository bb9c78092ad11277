
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'amqp-call' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'amqp-call'
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
        'amqp-call' {
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'The exchange to publish to [default: the default exchange, where the routing key is a queue''s name]')
            [CompletionResult]::new('--exchange', '--exchange', [CompletionResultType]::ParameterName, 'The exchange to publish to [default: the default exchange, where the routing key is a queue''s name]')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'The routing key; without --exchange, the queue''s name')
            [CompletionResult]::new('--routing-key', '--routing-key', [CompletionResultType]::ParameterName, 'The routing key; without --exchange, the queue''s name')
            [CompletionResult]::new('-b', '-b', [CompletionResultType]::ParameterName, 'The request''s body [default: all of standard input]')
            [CompletionResult]::new('--body', '--body', [CompletionResultType]::ParameterName, 'The request''s body [default: all of standard input]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'How long the reply may take; after that the request expires, and the exit status is 124')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'MIME type of the body')
            [CompletionResult]::new('--content-type', '--content-type', [CompletionResultType]::ParameterName, 'MIME type of the body')
            [CompletionResult]::new('-E', '-E ', [CompletionResultType]::ParameterName, 'MIME content encoding of the body')
            [CompletionResult]::new('--content-encoding', '--content-encoding', [CompletionResultType]::ParameterName, 'MIME content encoding of the body')
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
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Queue for replies')
            [CompletionResult]::new('--reply-to', '--reply-to', [CompletionResultType]::ParameterName, 'Queue for replies')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Format of the tool''s own words on standard error: text, or json (a line each) [default: text]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print the reply with its properties as a line of JSON; the exit status stays the reply''s')
            [CompletionResult]::new('--lossy', '--lossy', [CompletionResultType]::ParameterName, 'With --json: print also a reply that JSON cannot hold all of (see amqp-tools(7))')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'Make messages persistent: in durable queues they survive a restart of the broker')
            [CompletionResult]::new('--persistent', '--persistent', [CompletionResultType]::ParameterName, 'Make messages persistent: in durable queues they survive a restart of the broker')
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
