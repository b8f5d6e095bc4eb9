// Command bench measures what a request costs Gatehouse and what it costs
// kube-apiserver, and prints both beside the goals of the project.
//
// Both servers run on loopback, each on an etcd of its own from the same
// executable, and hold the same pods. A figure is the CPU time of the server
// process alone (user and system, from /proc), divided by the number of
// requests; etcd and the client do not count. The servers take turns, round by
// round, and medians are shown (of the ratio, that of the rounds), because a shared machine is noisy. Wall
// time is shown for the start and for one client beside another only.
//
// Small requests are sent several at a time: a server that has work pays less for
// each, since it need not be woken up, and reads that arrive together can share
// one question to etcd. -in-flight=1 shows the other end.
//
// Each answer is checked: its status, its protocol, that its size does not
// change and, once per round, that it holds as many objects as it must. A row
// that a server answers with an error shows that in place of a figure.
//
// It runs on Linux only.
package main
