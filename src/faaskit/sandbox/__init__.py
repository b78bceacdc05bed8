"""
The processes: how a function's code is run, held and ended.

Only ``runtimes`` imports this room. What must never happen here: a thread in the launcher
or in a template, an unpickled byte from an environment, an import of faaskit on the child
side. The files that run in a child use relative imports and the stdlib alone; they live
there under the package name ``_faaskit_child``.

Theory of operation
===================

The actors, each a file::

    app          keeper.py, line.py        the user's program; has threads
     │ exec
    launcher     launcher.py, watchdog.py  one for each Invoker; a session of its own
     │ exec
    template     template.py               one for each function; has run INIT
     │ fork
    environment  inside.py, handler.py     one for each call

At the level "namespace" two more stand between launcher and template, and wait (jail.py): the
*doorkeeper*, in the host's namespaces, and the *warden*, pid 1 of a pid namespace, which makes
the view (view.py). Beside each environment sits an idle pid 1 of its own.

Channels
--------
- *Orders*: a socket from the app to the launcher, one way. Any thread may send one; a
  message is atomic, and the descriptors that belong to it travel with it.
- *Table* (table.py): memory that both map, a row for each environment. The app writes what
  runs and until when; the launcher writes pids and what it has seen. Nobody is woken by it.
- *Line*: three pipes between the app and one environment (or a template during INIT):
  event in, reply out, log out. They never touch descriptors 0 to 2. The app makes them, so
  no descriptor ever comes from below.
- *Verdict*: a fourth pipe, from the launcher to the app: how it ended, and what it used.
  It is told once for each line, or the pipe ends with the launcher. Whoever waits for a
  function waits on the line and the verdict at once, and so never waits for ever.
- *Link*: a socket between the launcher and a template, and the environments until they have
  introduced themselves. Reports on it are of a fixed size (reports.py), and the kernel adds the
  sender's pid to each. The launcher never waits in a write, to a template or to the app.

The way of one call
-------------------
1. The app takes a line whose environment has said READY, claims it in the table, writes the
   event into it, and its deadline into the table. While the function runs it orders what is to
   follow, and opens the files that will tell what was used. It wakes the launcher only if that
   sleeps or too few are ready.
2. Every 5 ms the launcher reads the memory and the CPU time of all that run, and looks for
   deadlines. It sleeps 100 ms after the last call.
3. The result comes up the line; the app's clock stops. Where the function left no process and
   no thread, the app reads from the kernel what it used, marks it as over in the table, and goes
   on: the launcher ends it when it looks next. Else that is ordered; the launcher reads it of the
   whole tree, kills it, and tells the verdict, for which the app waits.
4. What is parked ends when its function was idle for minutes (parking.py). What computes or grows
   while nobody has called is ended at the next look, once in a second (idle_usage.py).

Deadlines are looked at before trees are: a look at a thousand processes of one function keeps no
other one alive.

A fork shares open files and shared memory with its template, which would carry what one call
wrote to the next. After INIT the template looks at what is open that was not (inherited_state.py).
Files that are only read each environment opens again; a function whose INIT leaves anything else,
or a thread, has no snapshot.

Before it serves, a template runs the code that environments run, so that the interpreter has
specialised it, and puts a large image into huge pages (huge_pages.py): every page that a fork
need not copy, nor its table entry, is time and memory of each call.

Cgroups
-------
Where this process may make any (hierarchies.py), each template and each environment joins one
group for each controller before any code of the user's runs in it (cgroups.py). *pids* refuses what
a fork bomb forks. *memory* has everything that no resident set has: its limit is memory size plus
storage plus the kernel's own, since /tmp is memory, too; the memory size itself is held by the
watchdog, which takes files in memory from the group's counters. *cpu* has a quota only once a tree
was ahead of its share; before that it keeps a thousand processes that compute from having more of
the processors than a launcher that has no priority. Groups are used again, the longest unused
first.

Without, the watchdog walks trees, looks through descriptors a slice at a time, adds page tables,
and holds the share of CPU by SIGSTOP.

Who has what rights
-------------------
- The launcher has the app's. As root it runs ahead of whatever it has to end.
- The view is made by whoever may mount: root, or the first process of a user namespace. The
  template is in a user namespace below that one, so for it all mounts of the view are locked.
  It keeps the right to make namespaces and to mount, within its own.
- A root app's functions run under host uids that nobody has, each under one of its own: uid 0
  could write the kernel's settings, with no capability at all, and what the kernel counts for a
  user would be counted for all of them. Root's files are shown to it as its own, read-only.
- Everything is in a session keyring of the launcher's own: the user's keys are out of reach even
  where no filter refuses the calls for them.
- On a host that is full the kernel takes templates and environments before the app.
- An environment gives up every capability, sets no_new_privs, and puts itself under Landlock
  as the last thing, because a process under Landlock can't mount. A few calls to the kernel
  are not answered, since its template (seccomp.py).

Who may be lied to about what
-----------------------------
- An environment may write anything into its line: the decoder bounds it, one message may be
  incomplete, and what is no message ends the call. Its JSON is counted before it is parsed. It
  can't lower its bill: both clocks and all figures are outside.
- A template may have been taken over by INIT code. It can lie about exit statuses, keep them
  back, or fork wrongly; whatever goes wrong with one of its reports ends that template alone, and
  the verdict of what the launcher kills does not wait for it. A pid is believed because the kernel
  tells it, and only of a child of that template. What it can spoil is its own function: the
  freshness of its next calls, not anybody else's safety.
- At the level "process" all run as the same user: nothing but their good manners keeps
  functions from each other's files and processes.

Ends
----
- An environment is a *subreaper*: a daemon that the function makes by forking twice becomes
  its child, and is found, counted and killed with it.
- In a jail, to kill an environment's pid 1 is to kill all that it started; to kill the
  doorkeeper is to kill the function.
- Else a tree is killed by stopping all of it first, over and over until a walk finds nobody
  new; where there are pids cgroups, by forbidding it to fork and killing the group's members.
- What a launcher that was killed leaves is named by boot, pid namespace, pid and start time: a
  sweep takes nothing of a container's whose processes it does not see.
  What an environment leaves when it ends by itself becomes the launcher's child (a subreaper,
  too) and is killed on sight.
- The app dies: its pidfd tells the launcher, which kills everything and ends. The pidfd, not
  only the end of the socket, because a process that the app forked may hold that open; not
  PDEATHSIG, because that fires when the app's *thread* ends which started the launcher.
- The launcher dies: doorkeepers, templates, then environments die by PDEATHSIG (they and
  their parents have one thread). The app sees the verdict pipes end. Daemons of functions
  and files are left; the next launcher sweeps what carries the pid and start time of one
  that is gone.
- A template dies: its environments die with it; parked ones are replaced, running ones are
  reported as a failure of the sandbox.

Races that an order prevents
----------------------------
- The app writes a deadline and then looks whether the launcher sleeps; the launcher says that
  it sleeps and then looks at the deadlines. One of the two sees the other.
- The launcher marks a parked environment that is to end, waits, and kills it only if it was not
  claimed. The app claims one and then looks for the mark. One of the two sees the other, and no
  event is lost with an environment that left.
- A template waits for ``go`` until it is watched: no code of the user's runs without.
- Every process asks who its parent is after it has set PDEATHSIG: one that has ended before
  would never send the signal.
- READY may overtake the pid on its way to the launcher. An order to end an environment whose
  pid is not known waits for it, and not the launcher.
- A row is another environment's as soon as the app has given it back. The launcher takes it
  from the former one when the order for the new one comes.
- The tree's root is stopped by pidfd before it is walked: its pid can't be another's then.
"""
