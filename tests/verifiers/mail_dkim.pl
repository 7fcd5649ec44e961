#!/usr/bin/perl
# Verifies many DKIM-signed messages with Mail::DKIM, with keys from a file.
#
#     mail_dkim.pl RECORDS < MESSAGES
#
# The formats are those of dkimpy.py. Mail::DKIM knows Ed25519 only from version
# 1.20230630; for older versions it is added here, with CryptX for the arithmetic.
# Parsing, canonicalisation and hashing are Mail::DKIM's own in either case.

use strict;
use warnings;

use constant MISSING_PACKAGE => 69;

BEGIN {
    for my $module (qw(Mail::DKIM::Verifier Crypt::PK::Ed25519)) {
        eval "require $module; 1" or do {
            print STDERR "libmail-dkim-perl and libcryptx-perl are needed: $@";
            exit MISSING_PACKAGE;
        };
    }
}

my %records;

main();

sub main {
    %records = read_records( $ARGV[0] );
    no warnings 'redefine';
    *Mail::DKIM::DNS::query = sub {
        my $text = $records{ lc $_[0] };
        $@ = defined $text ? '' : 'NXDOMAIN';
        return defined $text ? Verifiers::Record->new($text) : ();
    };
    Verifiers::Ed25519::install()
      unless eval { Mail::DKIM::Signature->new->get_algorithm_class('ed25519-sha256') };
    binmode STDIN;
    while ( defined( my $length = <STDIN> ) ) {
        chomp $length;
        my $message = '';
        read( STDIN, $message, $length ) == $length or die "the stream ends inside a message\n"
          if $length > 0;
        print join( "\t", verify($message) ), "\n";
    }
    return;
}

sub read_records {
    my ($path) = @_;
    open( my $file, '<:raw', $path ) or die "$path: $!\n";
    my %found;
    local $/ = "\0";
    while ( my $entry = <$file> ) {
        chomp $entry;
        my ( $name, $text ) = split /\t/, $entry, 2;
        $found{ lc $name } = $text if defined $text;
    }
    return %found;
}

sub verify {
    my ($message) = @_;
    my $verifier = Mail::DKIM::Verifier->new;
    eval { $verifier->PRINT($message); $verifier->CLOSE; 1 }
      or return verdict( 0, undef, "message refused: $@" );
    my @signatures = $verifier->signatures;
    if ( !@signatures && defined $verifier->{signature_reject_reason} ) {
        return verdict( 0, undef, $verifier->{signature_reject_reason} );
    }
    return map { verdict( ( $_->result // '' ) eq 'pass', $_, $_->result_detail // '' ) } @signatures;
}

sub verdict {
    my ( $passed, $signature, $detail ) = @_;
    my $domain   = $signature && $signature->domain   || '-';
    my $selector = $signature && $signature->selector || '-';
    $detail = '' if $passed;
    my $line = join ' ', $passed ? 'pass' : 'fail', $domain, $selector, $detail;
    $line =~ s/[^\x21-\x7e]+/ /g;
    $line =~ s/ \z//;
    return $line;
}

# What Mail::DKIM uses of a Net::DNS::RR::TXT.
package Verifiers::Record;

sub new     { my ( $class, $text ) = @_; return bless { text => $text }, $class }
sub type    { return 'TXT' }
sub txtdata { return ( $_[0]{text} ) }

# RFC 8463 for a Mail::DKIM that does not know it.
package Verifiers::Ed25519;

use MIME::Base64;

our @ISA;

sub install {
    require Mail::DKIM::Algorithm::rsa_sha256;
    @ISA = ('Mail::DKIM::Algorithm::rsa_sha256');
    my $class = \&Mail::DKIM::Signature::get_algorithm_class;
    my $hash  = \&Mail::DKIM::Signature::hash_algorithm;
    my $check = \&Mail::DKIM::PublicKey::check;
    no warnings 'redefine';
    *Mail::DKIM::Signature::get_algorithm_class = sub {
        return ( $_[1] // '' ) eq 'ed25519-sha256' ? __PACKAGE__ : $class->(@_);
    };
    *Mail::DKIM::Signature::hash_algorithm = sub {
        return ( $_[0]->algorithm // '' ) eq 'ed25519-sha256' ? 'sha256' : $hash->(@_);
    };
    *Mail::DKIM::PublicKey::check = sub {
        my ($key) = @_;
        return $check->($key) unless ( $key->get_tag('k') // '' ) eq 'ed25519';
        my $bytes = decode_base64( $key->data // '' );
        die "revoked\n"      if $bytes eq '';
        die "invalid data\n" if length($bytes) != 32;
        $key->cork( bless { bytes => $bytes }, 'Verifiers::Ed25519::Key' );
        return 1;
    };
    return;
}

sub verify {
    my ($self) = @_;
    my $key = $self->signature->get_public_key->cork;
    die "the key is not for Ed25519\n" unless $key->isa('Verifiers::Ed25519::Key');
    my $digest    = $self->{header_digest}->digest;
    my $signature = decode_base64( $self->signature->data );
    unless ( $key->verify( $signature, $digest ) ) {
        $@ = 'bad Ed25519 signature';
        return;
    }
    return $self->check_body_hash;
}

package Verifiers::Ed25519::Key;

sub size { return length $_[0]{bytes} }

sub verify {
    my ( $self, $signature, $digest ) = @_;
    return if length($signature) != 64;
    my $key = Crypt::PK::Ed25519->new;
    $key->import_key_raw( $self->{bytes}, 'public' );
    return $key->verify_message( $signature, $digest );
}
