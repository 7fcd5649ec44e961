# Reads many From values with Mail, the library of Ruby on Rails. The formats are those of
# readers.py.

begin
  require "mail"
rescue LoadError => error
  warn error.message
  exit 69
end
require "json"

# A parser that breaks off shows nothing.
def read(value)
  Array(Mail.new("From:#{value}\r\n\r\n")[:from].addrs).map(&:domain).compact
rescue StandardError
  []
end

$stdin.binmode
while (length = $stdin.gets)
  value = $stdin.read(length.to_i) || ""
  puts JSON.generate("Ruby Mail" => read(value).map { |domain| domain.dup.force_encoding("UTF-8").scrub })
end
