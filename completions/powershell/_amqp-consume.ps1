
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'amqp-consume' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'amqp-consume'
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
        'amqp-consume' {
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'The queue to consume from [default: a new one, named by the broker]')
            [CompletionResult]::new('--queue', '--queue', [CompletionResultType]::ParameterName, 'The queue to consume from [default: a new one, named by the broker]')
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'Declare the queue and bind it to this exchange')
            [CompletionResult]::new('--exchange', '--exchange', [CompletionResultType]::ParameterName, 'Declare the queue and bind it to this exchange')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'The routing keys to bind with, separated by commas')
            [CompletionResult]::new('--routing-key', '--routing-key', [CompletionResultType]::ParameterName, 'The routing keys to bind with, separated by commas')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'End after N messages, with the status of the first command that failed [default: no limit]')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'End after N messages, with the status of the first command that failed [default: no limit]')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'How many unacknowledged messages the broker may hand over; 0: 65535 [default: as many as --jobs; with --json 100]')
            [CompletionResult]::new('--prefetch-count', '--prefetch-count', [CompletionResultType]::ParameterName, 'How many unacknowledged messages the broker may hand over; 0: 65535 [default: as many as --jobs; with --json 100]')
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'How many commands may run at once')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'How many commands may run at once')
            [CompletionResult]::new('--stdin', '--stdin', [CompletionResultType]::ParameterName, 'What the command''s standard input is: pipe, or file, which can be sought in and opened as /dev/stdin [default: pipe]')
            [CompletionResult]::new('--joblog', '--joblog', [CompletionResultType]::ParameterName, 'Append a line about each command to this file')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'End a command that runs longer, by SIGTERM and 5s later SIGKILL; it has failed, with status 124')
            [CompletionResult]::new('--idle-timeout', '--idle-timeout', [CompletionResultType]::ParameterName, 'End when no message has come for that long and nothing runs; 0s: when the queue is empty')
            [CompletionResult]::new('--idle-status', '--idle-status', [CompletionResultType]::ParameterName, 'The exit status if --idle-timeout passes and not one message was handled [default: 0]')
            [CompletionResult]::new('--grace', '--grace', [CompletionResultType]::ParameterName, 'After SIGTERM or SIGINT, end commands that still run after that long [default: let them finish]')
            [CompletionResult]::new('--retries', '--retries', [CompletionResultType]::ParameterName, 'Run the command again, up to N times, on a message before that counts as failed')
            [CompletionResult]::new('--retry-delay', '--retry-delay', [CompletionResultType]::ParameterName, 'The pause before the first retry, doubled before each further one [default: 1s]')
            [CompletionResult]::new('--on-failure', '--on-failure', [CompletionResultType]::ParameterName, 'What becomes of a message whose command failed: requeue, reject (to the queue''s dead-letter exchange; without one it is gone) or ack [default: requeue]')
            [CompletionResult]::new('--on-exit', '--on-exit', [CompletionResultType]::ParameterName, 'The same for certain exit statuses, such as 65=reject or 64-78,99=requeue; may be given several times')
            [CompletionResult]::new('--max-attempts', '--max-attempts', [CompletionResultType]::ParameterName, 'Reject a message that has failed N times instead of requeueing it')
            [CompletionResult]::new('--park', '--park', [CompletionResultType]::ParameterName, 'Put a message that has failed --max-attempts times into this queue instead of rejecting it')
            [CompletionResult]::new('--delivery-limit', '--delivery-limit', [CompletionResultType]::ParameterName, 'The queue''s delivery limit: a message close to it goes to the queue''s tail, so that the broker does not drop it; 0: it may [default: 20 with RabbitMQ 4.0 or later]')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; several: the nodes of a cluster, tried in turn')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; several: the nodes of a cluster, tried in turn')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'The broker''s host [default: localhost]')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The broker''s host [default: localhost]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'The port [default: 5672, with TLS 5671]')
            [CompletionResult]::new('--vhost', '--vhost', [CompletionResultType]::ParameterName, 'The virtual host [default: /]')
            [CompletionResult]::new('--username', '--username', [CompletionResultType]::ParameterName, 'The user to log in as [default: guest]')
            [CompletionResult]::new('--password', '--password', [CompletionResultType]::ParameterName, 'The user''s password [default: guest]; others on this machine can see it in the process list, see --authfile')
            [CompletionResult]::new('--heartbeat', '--heartbeat', [CompletionResultType]::ParameterName, 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]')
            [CompletionResult]::new('--authfile', '--authfile', [CompletionResultType]::ParameterName, 'A file with the two lines username:NAME and password:SECRET')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'How long connecting may take: name, TCP, TLS and login together [default: 10s]')
            [CompletionResult]::new('--retry', '--retry', [CompletionResultType]::ParameterName, 'How long to keep trying while the broker cannot be reached [default: 0s]')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'Certificates of authorities to trust besides the system''s, in PEM')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'The client''s certificate, in PEM')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The client''s private key, in PEM')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'Declare the queue; it ends with its last consumer')
            [CompletionResult]::new('--declare', '--declare', [CompletionResultType]::ParameterName, 'Declare the queue; it ends with its last consumer')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'Declare the queue for this connection alone')
            [CompletionResult]::new('--exclusive', '--exclusive', [CompletionResultType]::ParameterName, 'Declare the queue for this connection alone')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Acknowledge each message before its command runs: if that fails, the message is gone')
            [CompletionResult]::new('--no-ack', '--no-ack', [CompletionResultType]::ParameterName, 'Acknowledge each message before its command runs: if that fails, the message is gone')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Without COMMAND: write each message to standard output as a line of JSON, and acknowledge it then')
            [CompletionResult]::new('--ssl', '--ssl', [CompletionResultType]::ParameterName, 'Connect by TLS, and by nothing else; so does a URL of amqps://')
            [CompletionResult]::new('--no-default-cert-paths', '--no-default-cert-paths', [CompletionResultType]::ParameterName, 'Trust none of the system''s certificates, only --cacert')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Trust any server, whatever its certificate: anyone between you and it can read along')
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
