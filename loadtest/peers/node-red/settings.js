'use strict';
const {Pool} = require('pg');

module.exports = {
  flowFile: 'flows.json',
  credentialSecret: false,
  httpRoot: false,  // no editor, no port
  functionGlobalContext: {database: new Pool({connectionString: process.env.DATABASE_URL, max: 1})},
};
