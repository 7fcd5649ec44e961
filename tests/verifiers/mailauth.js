// Verifies many DKIM-signed messages with mailauth, with keys from a file.
//
//     mailauth.js FOLDER RECORDS < MESSAGES
//
// FOLDER is where tests/install-packages has put the packages of npm. The formats are those of
// dkimpy.py.

'use strict';

const fs = require('fs');
const path = require('path');
const { dkimVerify } = require(path.join(process.argv[2], 'node_modules/mailauth/lib/dkim/verify'));

const records = new Map(
    fs.readFileSync(process.argv[3], 'utf8').split('\0').filter(Boolean).map(entry => {
        const tab = entry.indexOf('\t');
        return [entry.slice(0, tab).toLowerCase(), entry.slice(tab + 1)];
    })
);

async function resolver(name) {
    const text = records.get(name.toLowerCase());
    if (text === undefined) {
        throw Object.assign(new Error('no such record'), { code: 'ENOTFOUND' });
    }
    return [[text]];
}

function verdict({ signingDomain, selector, status }) {
    const passed = status.result === 'pass';
    const words = [passed ? 'pass' : 'fail', signingDomain || '-', selector || '-'];
    const detail = passed ? '' : `${status.result} ${status.comment || ''}`;
    return [...words, detail].join(' ').replace(/\s+/g, ' ').trim();
}

async function main() {
    const input = fs.readFileSync(0);
    for (let at = 0; at < input.length; ) {
        const end = input.indexOf('\n', at);
        const length = Number(input.subarray(at, end));
        const message = input.subarray(end + 1, end + 1 + length);
        at = end + 1 + length;
        const { results } = await dkimVerify(message, { resolver });
        const signatures = results.filter(result => result.signature);
        process.stdout.write(signatures.map(verdict).join('\t') + '\n');
    }
}

main();
