"""forecast doctor: is the installation whole, and is the store?"""

from __future__ import annotations

from forecast.cli.options import Session, command


@command(sets="any")
def doctor(session: Session) -> int:
    """Check the installation and the stored models.

    Looks at versions, threads, device, settings, disk, every run against its checksums, the live pointer, what killed
    runs left, and who holds the lock. Changes nothing.

    Exit 0, or the code of the worst finding: 1 the installation, 2 the settings, 4 a model, 9 the disk."""
    from dataclasses import asdict

    from forecast.cli.console import Console
    from forecast.tasks import doctor as task

    console, findings = Console(session), []
    for finding in task.doctor(session.workspace):
        findings.append(finding)
        console.result(f"{finding.outcome:<5} {finding.check:<10} {finding.message}")
        if session.quiet and finding.outcome == "bad":
            console.warn(finding.outcome, f"{finding.check}: {finding.message}")
    worst = max(f.exit for f in findings)
    console.document({"exit": worst, "store": str(session.workspace.store.folder),
                      "findings": [asdict(f) for f in findings]})
    return worst
