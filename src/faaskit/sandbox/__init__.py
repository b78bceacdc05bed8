"""
The processes: how a function's code is run, held and ended.

Only ``runtimes`` imports this room. What must never happen here: a thread in the launcher
or in a template, an unpickled byte from an environment, an import of faaskit on the child
side. The files that run in a child use relative imports and the stdlib alone; they live
there under the package name ``_faaskit_child``.

Theory of operation
===================

Four actors, each a file::

    app        keeper.py, line.py        the user's program; has threads
     │ exec
    launcher   launcher.py               one for each Invoker; a session of its own
     │ exec
    template   template.py               one for each function; has run INIT
     │ fork
    environment  inside.py, handler.py   one for each call

Channels
--------
- *Orders*: a socket from the app to the launcher, one way. Any thread may send one; a
  message is atomic, and the descriptors that belong to it travel with it.
- *Line*: three pipes between the app and one environment (or a template during INIT):
  event in, reply out, log out. They never touch descriptors 0 to 2. The app makes them, so
  no descriptor ever comes from below.
- *Verdict*: a fourth pipe, from the launcher to the app: how it ended, and what it used.
  Exactly one is told for each line, or the pipe ends with the launcher. Whoever waits for a
  function waits on the line and the verdict at once, and so never waits for ever.
- *Link*: a socket between the launcher and a template: orders to fork, reports of pids and
  exit statuses.

The way of one call
-------------------
1. The app takes a line whose environment has said READY, writes the event into it, and
   tells the launcher that it runs. The launcher's clock for the timeout starts there.
2. Every 5 ms the launcher reads the memory of all that run, and looks for deadlines.
3. The result comes up the line; the app's clock stops. The app tells the launcher, which
   reads the CPU time and the peak memory of the tree *while it is still there*, kills it,
   and tells the verdict. In the same message the next environment is ordered.

Who may be lied to about what
-----------------------------
- An environment may write anything into its line: the decoder bounds it, and what is no
  message ends the call. It can't lower its bill: both clocks and all figures are outside.
- A template may have been taken over by INIT code. It can lie about pids and statuses: a pid
  is believed only if the kernel says that it is a child of that template, signals go by
  pidfd, and the verdict of what the launcher kills does not wait for the template's report.
  What it can spoil is its own function.
- At this level ("process") all run as the same user: nothing but their good manners keeps
  functions from each other's files and processes. That is the level "namespace"'s business.

Ends
----
- An environment is a *subreaper*: a daemon that the function makes by forking twice becomes
  its child, and is found, counted and killed with it. When an environment ends by itself,
  what it leaves becomes the launcher's child (a subreaper, too) and is killed on sight.
- A tree is killed by stopping all of it first, over and over until a walk finds nobody new;
  where there are pids cgroups, by forbidding it to fork and killing the group's members.
- The app dies: its pidfd tells the launcher, which kills everything and ends. The pidfd, not
  only the end of the socket, because a process that the app forked may hold that open; not
  PDEATHSIG, because that fires when the app's *thread* ends which started the launcher.
- The launcher dies: templates, then environments die by PDEATHSIG (they and their parents
  have one thread). The app sees the verdict pipes end. Daemons of functions and files are
  left; the next launcher sweeps what carries the pid and start time of one that is gone.
- A template dies: its environments die with it; parked ones are replaced, running ones are
  reported as a failure of the sandbox.

Races that an order prevents
----------------------------
- A template waits for ``go`` until its limits are set: no code of the user's runs without.
- An environment asks who its parent is after it has set PDEATHSIG: one that has ended before
  would never send the signal.
- READY may overtake the report of the pid. An order to end an environment whose pid is not
  known waits for the report, and not the launcher for it.
- The tree's root is stopped by pidfd before it is walked: its pid can't be another's then.
"""
