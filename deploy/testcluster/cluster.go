package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// readyWithin bounds a start that will never succeed; an idle machine needs about five seconds.
const readyWithin = 3 * time.Minute

// runCluster runs etcd and kube-apiserver as it is told until ctx ends. It calls ready once, with the path of the
// administrator's kubeconfig, when the API server answers. Logs go to files in its folder.
func runCluster(ctx context.Context, settings settings, ready func(kubeconfig string)) error {
	dir := settings.dir
	logFile, err := os.Create(filepath.Join(dir, "kube-apiserver.log"))
	if err != nil {
		return err
	}
	defer logFile.Close()
	logTo(logFile)
	defer klog.Flush()

	etcd, err := startEtcd(filepath.Join(dir, "etcd"))
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	// Last to stop: the API server still writes while it drains.
	defer etcd.Close()

	pki, err := newPKI(filepath.Join(dir, "pki"))
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	flags := append(apiserverFlags(etcd, pki), settings.apiserverFlags...)
	server, err := newAPIServer(ctx, listener, flags)
	if err != nil {
		listener.Close()
		return fmt.Errorf("kube-apiserver: %w", err)
	}

	serverCtx, stopServer := context.WithCancel(ctx)
	defer stopServer()
	ended := make(chan error, 1)
	go func() {
		defer close(ended)
		ended <- app.Run(serverCtx, server)
	}()

	address := "https://" + listener.Addr().String()
	if err := waitReady(ctx, pki.adminConfig(address), ended); err != nil {
		if ctx.Err() != nil { // Asked to stop before it was ready: no fault.
			return <-ended
		}
		return fmt.Errorf("kube-apiserver: %w", err)
	}
	if settings.collectsGarbage {
		if err := collectGarbage(serverCtx, pki.adminConfig(address)); err != nil {
			return err
		}
	}
	kubeconfig, err := pki.writeKubeconfig(dir, address)
	if err != nil {
		return err
	}
	ready(kubeconfig)
	return <-ended
}

// logTo sends everything that Kubernetes' libraries log to a file, errors too: an API server that starts on
// an empty etcd logs several that mean nothing.
func logTo(file *os.File) {
	flags := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(flags)
	_ = flags.Parse([]string{"--logtostderr=false", "--stderrthreshold=FATAL"})
	klog.SetOutput(file)
}

// startEtcd starts a single member on loopback. Its ports are the kernel's choice, and it does not
// fsync: what it holds is worth nothing after the test.
func startEtcd(dir string) (*embed.Etcd, error) {
	anyPort := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	config := embed.NewConfig()
	config.Dir = dir
	config.ListenClientUrls = []url.URL{anyPort}
	config.AdvertiseClientUrls = []url.URL{anyPort}
	config.ListenPeerUrls = []url.URL{anyPort}
	config.AdvertisePeerUrls = []url.URL{anyPort}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true
	config.LogLevel = "error"
	config.LogOutputs = []string{dir + ".log"}
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		etcd.Close()
		return nil, err
	case <-time.After(readyWithin):
		etcd.Close()
		return nil, errors.New("no leader in time")
	}
}

// apiserverFlags are kube-apiserver's own, as on a control plane, but for what a test needs otherwise.
func apiserverFlags(etcd *embed.Etcd, pki *pki) []string {
	return append(pki.apiserverFlags(),
		"--etcd-servers=http://"+etcd.Clients[0].Addr().String(),
		"--authorization-mode=Node,RBAC",
		"--service-cluster-ip-range=10.0.0.0/24",
		// A test wants to see privileged Pods refused by policy, not by the server's own switch.
		"--allow-privileged=true",
		// Nothing here makes a namespace's default ServiceAccount, without which no Pod would be let in.
		"--disable-admission-plugins=ServiceAccount",
		// Loopback cannot be an endpoint of the Service `kubernetes`.
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
	)
}

// newAPIServer reads the flags as kube-apiserver's main does and hands it the listener.
func newAPIServer(ctx context.Context, listener net.Listener, flags []string) (options.CompletedOptions, error) {
	var none options.CompletedOptions
	server := options.NewServerRunOptions()
	flagSet := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, named := range server.Flags().FlagSets {
		flagSet.AddFlagSet(named)
	}
	if err := flagSet.Parse(flags); err != nil {
		return none, err
	}
	server.SecureServing.Listener = listener
	server.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	if err := server.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return none, err
	}
	completed, err := server.Complete(ctx)
	if err != nil {
		return none, err
	}
	return completed, errors.Join(completed.Validate()...)
}

// waitReady returns when /readyz says ok, or why it never will.
func waitReady(ctx context.Context, config *rest.Config, ended <-chan error) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	deadline := time.After(readyWithin)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		response, err := client.Get(config.Host + "/readyz")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(response.Status)
		}
		select {
		case <-tick.C:
		case ending := <-ended:
			return fmt.Errorf("ended before it was ready: %w", ending)
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return fmt.Errorf("not ready after %v: %w", readyWithin, err)
		}
	}
}
