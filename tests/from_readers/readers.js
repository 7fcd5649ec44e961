// Reads many From values with parsers of npm. The formats are those of readers.py.
//
//     node readers.js FOLDER < VALUES
//
// FOLDER is where tests/from_readers/install has put them.

'use strict';

const fs = require('fs');
const path = require('path');

const from = name => require(path.join(process.argv[2], 'node_modules', name));
const addressparser = from('addressparser');
const emailAddresses = from('email-addresses');
const nodemailer = from('nodemailer/lib/addressparser');
const nodemailer6 = from('nodemailer-6/lib/addressparser');
const { addressParser: postalMime } = from('postal-mime');

const unfolded = value => value.toString('utf8').replace(/\r\n/g, '');
const flat = list => list.flatMap(entry => (entry.group ? flat(entry.group) : [entry.address]));
const domains = list =>
    flat(list)
        .filter(address => address && address.includes('@'))
        .map(address => address.slice(address.lastIndexOf('@') + 1));

const readers = {
    addressparser: value => domains(addressparser(unfolded(value))),
    'nodemailer 6': value => domains(nodemailer6(unfolded(value))),
    'nodemailer 7': value => domains(nodemailer(unfolded(value))),
    'postal-mime': value => domains(postalMime(unfolded(value))),
    // As lib/dkim/dkim-verifier.js and lib/dmarc/verify.js do it: the first "@" counts.
    mailauth: value =>
        flat(nodemailer(value.toString('binary').replace(/\r\n/g, '').trim()))
            .filter(address => address)
            .map(address => address.slice(address.indexOf('@') + 1))
            .map(domain => Buffer.from(domain, 'binary').toString('utf8')),
    'email-addresses': value => {
        const options = { input: unfolded(value), rfc6532: true };
        const found = emailAddresses.parseFrom(options) || [];
        return found.flatMap(entry => entry.addresses || [entry]).map(entry => entry.domain);
    }
};

// A parser that breaks off shows nothing.
function read(reader, value) {
    try {
        return reader(value);
    } catch {
        return [];
    }
}

const input = fs.readFileSync(0);
const lines = [];
for (let at = 0; at < input.length; ) {
    const end = input.indexOf('\n', at);
    const length = Number(input.subarray(at, end));
    const value = input.subarray(end + 1, end + 1 + length);
    at = end + 1 + length;
    const found = Object.entries(readers).map(([name, reader]) => [name, read(reader, value)]);
    lines.push(JSON.stringify(Object.fromEntries(found)));
}
process.stdout.write(lines.map(line => line + '\n').join(''));
