'use strict';
const {Pool} = require('pg');

module.exports = {
  flowFile: 'flows.json',
  credentialSecret: false,
  httpAdminRoot: false,  // no editor, no port
  httpNodeRoot: false,
  functionGlobalContext: {database: new Pool({connectionString: process.env.DATABASE_URL, max: 1})},
};
