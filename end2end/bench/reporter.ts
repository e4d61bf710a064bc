import type { FullResult, Reporter, TestCase, TestResult } from '@playwright/test/reporter';

/** A reporter that prints only the measurement's own output; errors go to stderr. */
export default class Plain implements Reporter {
  onStdOut(chunk: string | Buffer): void {
    process.stdout.write(chunk);
  }

  onTestEnd(_test: TestCase, { errors }: TestResult): void {
    for (const { message, stack } of errors) process.stderr.write(`${stack ?? message}\n`);
  }

  onError({ message, stack }: { message?: string; stack?: string }): void {
    process.stderr.write(`${stack ?? message}\n`);
  }

  onEnd({ status }: FullResult): void {
    if (status !== 'passed') process.stderr.write(`The measurement ${status}.\n`);
  }
}
