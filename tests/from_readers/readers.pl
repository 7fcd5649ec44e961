#!/usr/bin/perl
# Reads many From values with the parsers of Perl. The formats are those of readers.py.

use strict;
use warnings;

use constant MISSING_PACKAGE => 69;

BEGIN {
    for my $module (qw(Mail::Address Email::Address::XS Mail::DKIM::Verifier JSON::PP)) {
        eval "require $module; 1" or do {
            print STDERR "libmailtools-perl, libemail-address-xs-perl, libmail-dkim-perl: $@";
            exit MISSING_PACKAGE;
        };
    }
}

my %readers = (
    'Mail::Address'      => sub { map { $_->host } Mail::Address->parse( unfolded( $_[0] ) ) },
    'Email::Address::XS' => sub { map { $_->host } Email::Address::XS->parse( unfolded( $_[0] ) ) },
    'Mail::DKIM'         => sub {
        my $verifier = Mail::DKIM::Verifier->new;
        $verifier->PRINT("From:$_[0]\r\n\r\n");
        $verifier->CLOSE;
        return $verifier->message_originator->host;
    },
);

my $json = JSON::PP->new->latin1(0);
local $SIG{__WARN__} = sub { };
binmode STDIN;
binmode STDOUT;
while ( defined( my $length = <STDIN> ) ) {
    chomp $length;
    my $value = '';
    read( STDIN, $value, $length ) == $length or die "the stream ends inside a value\n" if $length > 0;
    my %found = map { $_ => [ read_with( $readers{$_}, $value ) ] } keys %readers;
    print $json->encode( \%found ), "\n";
}

# A parser that breaks off shows nothing.
sub read_with {
    my ( $reader, $value ) = @_;
    my @found;
    eval { @found = $reader->($value); 1 } or @found = ();
    return grep { defined && length } @found;
}

sub unfolded {
    my ($value) = @_;
    $value =~ s/\r\n//g;
    return $value;
}
