package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
)

// kindsEvery is how often the collector looks for kinds that are new. A control plane's own looks every half a minute,
// for which no test wants to wait.
const kindsEvery = time.Second

// collectGarbage runs kube-controller-manager's garbage collector until ctx ends: whoever is owned by what is gone
// goes, too. It is the one controller there is here, and only where it is asked for.
func collectGarbage(ctx context.Context, config *rest.Config) error {
	// It asks for every kind there is, again and again.
	config.QPS, config.Burst = 200, 400
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("garbage collector: %w", err)
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("garbage collector: %w", err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	informerFactory := informerfactory.NewInformerFactory(
		informers.NewSharedInformerFactory(client, 0),
		metadatainformer.NewSharedInformerFactory(metadataClient, 0),
	)
	// Nobody else's informers have to be waited for.
	started := make(chan struct{})
	close(started)
	collector, err := garbagecollector.NewGarbageCollector(
		ctx, client, metadataClient, mapper, garbagecollector.DefaultIgnoredResources(), informerFactory, started)
	if err != nil {
		return fmt.Errorf("garbage collector: %w", err)
	}
	go collector.Run(ctx, 1, time.Minute)
	go collector.Sync(ctx, client.Discovery(), kindsEvery)
	return nil
}
