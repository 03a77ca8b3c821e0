#!/usr/bin/env node
import '#check-node';

// Not an `import` at the top: Node loads all of those before it runs the first one, and one that is too old fails at that.
await import('./program.js');
